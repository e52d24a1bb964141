"""The HTTP service: tenants with keys, items, users and events in a database, and lists ranked by the engine."""
