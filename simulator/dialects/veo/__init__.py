"""Google's clips: Veo as the Gemini API and as Vertex AI serve it, and the files that it leaves."""
