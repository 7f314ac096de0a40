"""Organisations: who belongs to one, as what, what that allows, and the trail of what was done."""
