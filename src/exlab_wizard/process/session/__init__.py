"""The login session and its machine: bus, display, when they end, and what they are asked to wait for."""
