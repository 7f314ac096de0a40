"""Files that the gateway keeps: what was made for its callers, and what they uploaded."""
