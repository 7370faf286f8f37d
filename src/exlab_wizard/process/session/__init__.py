"""The login session and the machine: when they end, and what they are asked to wait for."""
