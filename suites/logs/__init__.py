"""Checks of the area: logs."""
