"""Why the tuned model failed rows: each failure with the training rows most like it, grouped by cause.

A cause is read off what stands near the failure in the training rows, by rules in a fixed order; it is a
lead to look at and no proof. The rows that decide are the nearest ones, as in T. Cover, P. Hart, IEEE
Trans Inf Theory 13 (1967) 21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from residency.core.records import Example, Source
from residency.data.checks.forms import NO_JSON, form_of, json_value
from residency.data.findings import Finding
from residency.data.labels import labels_of
from residency.data.twins.nearest import Nearest, Neighbour, asked_text
from residency.evals.scored import Scored, was_cut_off
from residency.models.vectors import Similarity
from residency.verdict.report_schema import Cause, CausePart, NearRowPart, TracedPart

_NEAR = 10
"""Training rows looked at for a failure."""
_SHOWN = 3
"""Of them kept beside it, and failures shown of a cause."""
_FAR = 0.05
"""Share of the training rows that are farther from their nearest one than a failure that counts as far."""
_SAMPLE = 1000
"""Training rows from which that distance is taken, at even steps through all."""
_DOUBTING = ("conflict", "near-conflict", "label-error")
"""Checks that doubt a row's answer."""
_MEANINGS: dict[Cause, tuple[str, str]] = {
    "cut off": ("The answer was cut off before its end.", "Raise task.max_new_tokens."),
    "form": (
        "The answer has another form than the one wanted, or is none of the labels.",
        "Say the form in task.system, or train longer; rows of that form that were left out are missed.",
    ),
    "unseen label": ("No training row has the answer wanted.", "Add training rows with this answer."),
    "doubted row": (
        "A near training row gives the answer that was given, and a check doubts that row.",
        "Look at these rows with `residency review`, and correct those that are wrong.",
    ),
    "taught": (
        "A training row with the answer that was given is nearer than any with the one wanted.",
        "Read these rows: correct them, or add rows that tell the two answers apart.",
    ),
    "far": ("No training row is much like it.", "Add training rows like these."),
    "confused": (
        "The nearest training rows give the answer wanted, and the model gave another.",
        "Add rows that tell the two answers apart; train longer if training rows fail too.",
    ),
    "other": ("None of the above.", "Read the answers beside the training rows most like them."),
}


def trace(
    failures: Sequence[Scored],
    asked: Mapping[str, Example],
    train: Sequence[Example],
    findings: Iterable[Finding],
    similarity: Similarity,
) -> list[TracedPart]:
    """Each failure with the training rows most like it, those that teach its wrong answer first.

    `asked` are the failed rows by their source, `file:row`; `similarity` is how likeness is told.
    """
    if not failures:
        return []
    texts = [asked_text(example) for example in train]
    index = Nearest(texts, similarity)
    far = _farness(index, texts)
    found = index.find([asked_text(asked[row.source]) for row in failures], _NEAR)
    labels = labels_of([example.answer for example in train])
    doubted = _doubted(findings)
    return [
        _traced(row, _Near(row, near, train, doubted), None if labels is None else set(labels), far)
        for row, near in zip(failures, found, strict=True)
    ]


def group_causes(traced: Sequence[TracedPart]) -> list[CausePart]:
    """The failures by cause and by the pair of answers, the commonest first."""
    groups: dict[tuple[Cause, str], list[TracedPart]] = {}
    for failure in traced:
        groups.setdefault((failure.cause, failure.pair), []).append(failure)
    order = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [
        CausePart(
            cause=cause,
            pair=pair,
            n=len(failures),
            meaning=_MEANINGS[cause][0],
            fix=_MEANINGS[cause][1],
            failures=failures[:_SHOWN],
        )
        for (cause, pair), failures in order
    ]


class _Near:
    """The training rows near one failure, nearest first."""

    def __init__(
        self,
        row: Scored,
        near: Sequence[Neighbour],
        train: Sequence[Example],
        doubted: Mapping[Source, list[str]],
    ) -> None:
        self.parts = [
            NearRowPart(
                source=str(train[place].source),
                prompt=asked_text(train[place]),
                answer=train[place].answer,
                cosine=round(min(cosine, 1.0), 4),
                teaches_wrong=_same(train[place].answer, row.got),
                checks=doubted.get(train[place].source, []),
            )
            for place, cosine in near
        ]
        self.wrong = [part for part in self.parts if part.teaches_wrong]
        self.right = [part for part in self.parts if _same(part.answer, row.expected)]

    def closest(self, parts: Sequence[NearRowPart]) -> float:
        """The cosine of the nearest of `parts`; of none, -1."""
        return parts[0].cosine if parts else -1.0


def _traced(row: Scored, near: _Near, labels: set[str] | None, far: float) -> TracedPart:
    expected, got = row.expected.strip(), row.got.strip()
    rules: tuple[tuple[Cause, Callable[[], bool]], ...] = (
        ("cut off", lambda: was_cut_off(row)),
        ("unseen label", lambda: labels is not None and expected not in labels),
        ("form", lambda: _another_form(expected, got) if labels is None else got not in labels),
        ("doubted row", lambda: any(part.checks for part in near.wrong)),
        ("far", lambda: near.closest(near.parts) < far),
        ("taught", lambda: bool(near.wrong) and near.closest(near.wrong) >= near.closest(near.right)),
        ("confused", lambda: bool(near.right)),
    )
    cause = next((name for name, fits in rules if fits()), "other")
    is_pair = labels is not None and cause in ("doubted row", "taught", "confused")
    pair = f"{expected} → {got}" if is_pair else expected if cause == "unseen label" else ""
    return TracedPart(
        cause=cause,
        pair=pair,
        example_id=row.example_id,
        source=row.source,
        prompt=row.prompt,
        expected=row.expected,
        got=row.got,
        nearest=sorted(near.parts, key=lambda part: not part.teaches_wrong)[:_SHOWN],
    )


def _farness(index: Nearest, texts: Sequence[str]) -> float:
    """The cosine that all but `_FAR` of the training rows reach with the one most like them."""
    sample = texts[:: -(-len(texts) // _SAMPLE)]
    others = [near[1].cosine for near in index.find(sample, 2) if len(near) > 1]
    return float(np.quantile(others, _FAR)) if others else 0.0


def _doubted(findings: Iterable[Finding]) -> dict[Source, list[str]]:
    """The checks that doubt a row's answer, by row."""
    doubted: dict[Source, list[str]] = {}
    for finding in findings:
        if finding.id in _DOUBTING:
            for source in dict.fromkeys(flag.source for flag in finding.rows):
                doubted.setdefault(source, []).append(finding.id)
    return doubted


def _another_form(expected: str, got: str) -> bool:
    no_json = json_value(got) is NO_JSON and form_of(expected) == "JSON"
    return no_json or form_of(expected) != form_of(got)


def _same(one: str, other: str) -> bool:
    return one.strip() == other.strip()
