"""Checks of the area: responses."""
