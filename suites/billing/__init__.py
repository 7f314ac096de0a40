"""Checks of the area: billing."""
