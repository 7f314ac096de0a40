"""Which models a provider knows, and the facts about them, as data."""
