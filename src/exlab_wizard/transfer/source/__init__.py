"""The run on this computer: its contents, its path, and the names that a destination may not support."""
