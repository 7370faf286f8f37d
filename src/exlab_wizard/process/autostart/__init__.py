"""How this program is started again: detached by a command, or by each system at login."""
