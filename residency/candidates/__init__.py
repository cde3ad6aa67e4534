"""Ways to answer the task: the base asked in several manners, and the tuned model.

A candidate maps examples to completions; it never sees a score.
"""
