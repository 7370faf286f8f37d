"""transfer.copy."""
