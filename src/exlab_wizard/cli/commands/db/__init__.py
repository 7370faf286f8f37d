"""cli.commands.db."""
