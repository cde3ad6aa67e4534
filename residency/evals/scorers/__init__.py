"""Scorers: (expected answer, answer got) -> score in [0, 1], passed or not, and the reason.

One file a scorer, registered by the decorator. The same scorer grades an evaluation and can reward a
training; but for those that run programs or ask models, a scorer is pure.
"""

from residency.evals.scorers import (
    chrf,
    code,
    contains,
    edit,
    embedding,
    exact,
    fields,
    json_fields,
    judge,
    label,
    normalised,
    numeric,
    regex,
    rouge_l,
)
from residency.evals.scorers.registry import Scorer, get_scorer, scorer, scorer_names, scorer_of
from residency.evals.scorers.score import EXPECTED, Score

__all__ = [
    "EXPECTED",
    "Score",
    "Scorer",
    "chrf",
    "code",
    "contains",
    "edit",
    "embedding",
    "exact",
    "fields",
    "get_scorer",
    "json_fields",
    "judge",
    "label",
    "normalised",
    "numeric",
    "regex",
    "rouge_l",
    "scorer",
    "scorer_names",
    "scorer_of",
]
