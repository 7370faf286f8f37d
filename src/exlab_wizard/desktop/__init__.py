"""What a desktop offers: window and notifications. A headless service loads none of it."""
