"""OpenAI Responses: its requests as prompts and back, its streams as deltas and back."""
