"""server.page.settings."""
