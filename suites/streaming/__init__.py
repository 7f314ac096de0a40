"""Checks of the area: streaming."""
