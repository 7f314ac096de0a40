"""Mistral's wires that are nobody else's."""
