"""transfer.destination."""
