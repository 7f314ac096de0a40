"""What differs between the wires that LLM calls come in on: a class for each, and what they have in common."""
