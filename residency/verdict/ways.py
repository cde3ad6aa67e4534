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


def way_of(candidate: str) -> Recommendation:
    """What recommends a candidate, the base's or a remote model's; all that is not named here is a prompt."""
    return _WAYS.get(candidate.rpartition("/")[2], "prompt")
