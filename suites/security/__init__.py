"""Checks of the area: security."""
