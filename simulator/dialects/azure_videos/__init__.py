"""Azure's wire for the first Sora: jobs whose generations are clips."""
