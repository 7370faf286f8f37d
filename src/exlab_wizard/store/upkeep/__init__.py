"""Migrations, backups, pruning, and looking for damage."""
