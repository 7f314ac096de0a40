"""Fish Audio's wire: speech, transcripts, voices, wallet."""
