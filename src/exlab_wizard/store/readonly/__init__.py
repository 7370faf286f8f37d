"""store.readonly."""
