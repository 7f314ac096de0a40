"""One file a revision. The newest one's id is `gateway.storage.engine.HEAD`."""
