"""cli.demo."""
