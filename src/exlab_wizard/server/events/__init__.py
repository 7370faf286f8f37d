"""server.events."""
