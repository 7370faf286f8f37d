"""What people and programs read: one query for each figure. Nothing here writes."""
