"""Floor 3: what the operator lives with: the quit, its question, and later the icon and notifications."""
