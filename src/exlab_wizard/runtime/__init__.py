"""Floor 2: what goes on while the application runs: workers, the keeper, recovery."""
