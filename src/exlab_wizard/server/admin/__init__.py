"""`/admin/`: Datasette on the live database, read-only."""
