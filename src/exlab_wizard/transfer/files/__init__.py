"""transfer.files."""
