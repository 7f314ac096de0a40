"""Google's wire: generateContent, embeddings, token counts."""
