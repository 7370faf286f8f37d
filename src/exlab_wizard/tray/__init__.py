"""What runs beside the sync: the quit with its question, the server's thread, the window, and the icon."""
