"""The page in a window of our own, in a process of its own: `python -m exlab_wizard.window`."""
