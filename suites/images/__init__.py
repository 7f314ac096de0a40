"""Checks of the area: images."""
