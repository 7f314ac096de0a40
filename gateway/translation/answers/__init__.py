"""Answers: the events of each dialect read as deltas, and deltas written as events of each."""
