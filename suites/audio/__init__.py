"""Checks of the area: audio."""
