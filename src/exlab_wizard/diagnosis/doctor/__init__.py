"""Looks at everything on a machine that could keep runs from arriving, and says what to do about it.

A module for each noun; `checkup.py` asks them all at once and waits for none longer than it may take.
"""
