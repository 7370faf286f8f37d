"""Reports for people and programs. Nothing here writes."""
