"""Rows that ask nearly the same: found by MinHash, confirmed word by word, joined to clusters; leaks."""
