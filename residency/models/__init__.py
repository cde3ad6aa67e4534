"""Where a base comes from, how it is loaded, adapted and asked; models that only play one in tests.

Nothing here knows examples, scores or training steps.
"""
