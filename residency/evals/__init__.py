"""Judging answers: scorers, scored rows and the statistics of comparing them.

Everything here works on text and numbers. No model of the project is loaded; scorers that need one of
their own, to embed or to judge, say so and load it when they are called.
"""
