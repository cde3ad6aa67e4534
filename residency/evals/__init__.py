"""Judging answers: scorers, scored rows and the statistics of comparing them.

Everything here works on text and numbers alone: no model is loaded and none is asked.
"""
