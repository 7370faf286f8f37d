"""`db` and its subcommands."""
