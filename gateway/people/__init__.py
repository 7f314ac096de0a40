"""People: who signs in, with what, and for how long. What they may do in an organisation is in `gateway/orgs`."""
