"""MiniMax's wires for clips and pictures: the first one, whose errors are all HTTP 200, and the second."""
