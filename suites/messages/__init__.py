"""Checks of the area: messages."""
