"""Checks of the area: accounts."""
