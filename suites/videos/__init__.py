"""Checks of the area: videos."""
