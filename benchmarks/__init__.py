"""Measures the program against what people would use instead; every figure is a ratio inside one run."""
