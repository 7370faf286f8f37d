"""Takes jobs from the queue and runs transfers; the watchdog and the maintenance beside them."""
