"""ElevenLabs' wire: transcripts and speech."""
