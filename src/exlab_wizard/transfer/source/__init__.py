"""transfer.source."""
