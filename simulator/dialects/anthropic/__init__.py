"""Anthropic's wire: messages, token counts and threads."""
