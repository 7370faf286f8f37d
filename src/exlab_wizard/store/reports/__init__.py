"""store.reports."""
