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


def asked_of(candidate: str) -> str:
    """Who answers a prompt: `the base`, or `the remote model big` for `big/few-shot`."""
    name, slash, _ = candidate.rpartition("/")
    return f"the remote model {name}" if slash else "the base"


def how_asked(candidate: str) -> str:
    """`few-shot` of `big/few-shot`, and of the base's."""
    return candidate.rpartition("/")[2]


def tuned_on(percent: int) -> str:
    """The model tuned on a part of the training rows: a point of the learning curve, and no candidate."""
    return f"{TUNED}-{percent}"


def way_of(candidate: str) -> Recommendation:
    """What recommends a candidate, the base's or a remote model's; all that is not named here is a prompt."""
    return _WAYS.get(how_asked(candidate), "prompt")
