"""Checks of the area: operations."""
