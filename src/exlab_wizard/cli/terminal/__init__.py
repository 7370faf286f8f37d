"""cli.terminal."""
