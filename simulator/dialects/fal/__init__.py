"""fal's wire: held runs, and the queue."""
