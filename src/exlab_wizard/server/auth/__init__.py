"""server.auth."""
