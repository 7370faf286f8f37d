"""Moves the bytes of a run and proves that they arrived. Knows nothing of the database."""
