"""Checks of the area: chat."""
