"""store.upkeep."""
