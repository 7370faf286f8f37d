"""`demo`: the whole story in under a minute."""
