"""Checks of the area: authentication."""
