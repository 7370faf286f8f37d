"""The event stream: changes, numbered and kept for clients that reconnect."""
