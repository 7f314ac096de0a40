"""Who is let in, how fast they are served, and what they are told of limits."""
