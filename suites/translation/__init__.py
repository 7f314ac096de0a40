"""Checks of the area: translation."""
