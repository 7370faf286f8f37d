"""process.session."""
