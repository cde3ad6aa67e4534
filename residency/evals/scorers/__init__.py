"""Scorers: (expected answer, answer got) -> score in [0, 1], passed or not, and the reason.

One file a scorer, registered by the decorator; a scorer is pure, so it can grade and reward alike.
"""

from residency.evals.scorers import exact, fields, json_fields, label
from residency.evals.scorers.registry import Score, Scorer, get_scorer, scorer, scorer_names

__all__ = [
    "Score",
    "Scorer",
    "exact",
    "fields",
    "get_scorer",
    "json_fields",
    "label",
    "scorer",
    "scorer_names",
]
