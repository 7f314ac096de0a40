"""Real pictures, clips and speech, the same for the same request."""
