"""The event stream: what changed, numbered and kept for clients that reconnect."""
