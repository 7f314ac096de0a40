"""Replicate's wire: models and their versions, predictions, trainings, files."""
