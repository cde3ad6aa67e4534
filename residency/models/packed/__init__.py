"""Sequences packed into one row, so that what they share is computed once."""
