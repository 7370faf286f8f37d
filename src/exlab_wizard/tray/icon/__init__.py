"""tray.icon."""
