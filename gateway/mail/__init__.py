"""Mail: an outbox in the database, and the SMTP client that empties it."""
