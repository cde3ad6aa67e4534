"""Which way to answer the task a candidate stands for, by its name."""

from __future__ import annotations

from residency.verdict.report_schema import Recommendation

BASE = "base"
TUNED = "tuned"
TUNED_RETRIEVAL = "tuned+retrieval"
TRAINED = frozenset({TUNED, TUNED_RETRIEVAL})
"""Candidates that cost a training before their first call."""
_WAYS: dict[str, Recommendation] = {
    "retrieved": "retrieve",
    "documents": "retrieve",
    "classifier": "classifier",
    TUNED: "fine-tune",
    TUNED_RETRIEVAL: "fine-tune",
}


def tuned_on(percent: int) -> str:
    """The model tuned on a part of the training rows: a point of the learning curve, and no candidate."""
    return f"{TUNED}-{percent}"


def way_of(candidate: str) -> Recommendation:
    """What recommends a candidate; all that is not named here is a prompt."""
    return _WAYS.get(candidate, "prompt")
