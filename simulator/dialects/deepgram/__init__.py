"""Deepgram's wire: transcripts, speech, the list of models."""
