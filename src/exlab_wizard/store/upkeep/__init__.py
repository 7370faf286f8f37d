"""Migrations, backups, pruning, and checks for damage."""
