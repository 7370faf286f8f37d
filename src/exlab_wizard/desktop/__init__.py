"""Floor 3: what a desktop offers. A headless service loads none of it."""
