"""Every size, span, percent, plural, state and reason that people read, in one place. Pure.

Icon, notifications, page, terminal and API take their words from here; markup and layout are theirs.
"""
