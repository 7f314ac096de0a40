"""Several processes that are one fleet: they share a port, and what must be the same in all of them, through Redis."""
