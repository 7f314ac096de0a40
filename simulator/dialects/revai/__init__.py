"""Rev AI's wire: transcripts as jobs."""
