"""Checks of the area: gemini."""
