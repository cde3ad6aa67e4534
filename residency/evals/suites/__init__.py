"""What a model could do before it was tuned: suites of items on general ability and on safety.

Two suites are in the package, `general` and `safety`; a user's own are JSONL files of the same form. As
in all of this room, no model is asked here: answers and log-probabilities come in as text and numbers.
"""
