"""desktop.autostart."""
