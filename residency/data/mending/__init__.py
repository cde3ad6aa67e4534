"""Mending a file of examples: what is done to which row, what a person decided, and the way back."""
