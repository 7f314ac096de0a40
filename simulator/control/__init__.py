"""The control API, and what it tells Prometheus."""
