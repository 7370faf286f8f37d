"""The NAS side: marker, publishing, checksum list, receipt, and what earlier attempts left there."""
