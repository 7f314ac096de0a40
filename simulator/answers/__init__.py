"""What fake models say: text, thinking, tool calls and JSON that obey the request, counted to the token."""
