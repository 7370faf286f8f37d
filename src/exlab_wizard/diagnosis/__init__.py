"""Looks for trouble: the audit of a database and its destinations, and `doctor`."""
