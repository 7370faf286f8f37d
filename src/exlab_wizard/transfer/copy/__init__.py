"""Sends a run into its incoming folder and reads it back, with a checkpoint for every step."""
