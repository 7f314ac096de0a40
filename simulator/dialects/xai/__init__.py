"""xAI's wires besides text: pictures and videos (Imagine), and voice."""
