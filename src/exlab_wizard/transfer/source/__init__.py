"""The run as it lies on this computer: what it consists of, and which names a destination can take."""
