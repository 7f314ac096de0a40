"""Checks of the area: budgets."""
