"""Checks everything on a machine that could prevent runs from reaching a destination, and suggests remedies."""
