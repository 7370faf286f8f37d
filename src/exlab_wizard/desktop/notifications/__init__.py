"""desktop.notifications."""
