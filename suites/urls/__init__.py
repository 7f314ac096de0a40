"""Checks of the area: urls."""
