"""store.queue."""
