"""The one SQLite file: driver, connections, statements. Knows no table."""
