"""Hugging Face's own inference: one path for each model, whatever its task."""
