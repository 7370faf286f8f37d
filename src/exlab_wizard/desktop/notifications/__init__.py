"""Notifications: what they say, when they are due, and how each system shows them."""
