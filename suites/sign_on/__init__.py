"""Checks of the area: sign_on."""
