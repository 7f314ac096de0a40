"""Kling's wire, both generations: the model in the body and one path a task, and the model in the path and /tasks."""
