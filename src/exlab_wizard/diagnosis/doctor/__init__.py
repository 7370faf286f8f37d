"""Checks everything on a machine that could prevent runs from reaching a destination, and suggests remedies.

A module for each noun; `checkup.py` runs all checks at once, each with its timeout, and `process.py` lists them.
"""
