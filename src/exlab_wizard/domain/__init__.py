"""The rules. Pure: nothing here reads a clock, a file or a database; time is an argument."""
