"""The ways to show the page in a window."""
