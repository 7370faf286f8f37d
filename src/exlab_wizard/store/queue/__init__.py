"""The queue: jobs, claims, checkpoints, session leases, launches, quits, and the drain predicate."""
