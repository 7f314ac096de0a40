"""Volcengine Ark's wire, also that of BytePlus ModelArk: clips as tasks (Seedance), pictures (Seedream)."""
