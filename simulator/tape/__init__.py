"""Real providers on tape: a proxy that records them, and a dialect that plays the recordings back, chunk for chunk."""
