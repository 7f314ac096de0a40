"""Checks of the area: failover."""
