"""Why the tuned model failed rows: each failure with the training rows most like it, grouped by cause.

A cause is read off what stands near the failure in the training rows, by rules in a fixed order; it is a
lead to look at and no proof. The rows that decide are the nearest ones, as in T. Cover, P. Hart, IEEE
Trans Inf Theory 13 (1967) 21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from residency.core.records import Example, Source
from residency.data.checks.forms import NO_JSON, form_of, json_value
from residency.data.findings import Finding
from residency.data.labels import labels_of
from residency.data.twins.nearest import Nearest, Neighbour, asked_text
from residency.evals.scored import Scored, was_cut_off
from residency.models.vectors import Similarity
from residency.verdict.causes_schema import Cause, CausePart, NearRowPart, TracedPart
from residency.verdict.teaching import Teaching, teaching

_NEAR = 10
"""Training rows looked at for a failure."""
_RANKED = 50
"""The same, where they are ranked anew."""
_SHOWN = 3
"""Of them kept beside it, and failures shown of a cause."""
_FAR = 0.05
"""Share of the training rows that are farther from their nearest one than a failure that counts as far."""
_SAMPLE = 1000
"""Training rows from which that distance is taken, at even steps through all."""
_DOUBTING = ("conflict", "near-conflict", "label-error")
"""Checks that doubt a row's answer."""
Ranking = Callable[
    [Sequence[Scored], Sequence[Example], Sequence[Sequence[Neighbour]]], Sequence[Sequence[Neighbour] | None]
]
"""From failures, what was asked in them and the rows near each, nearest first, to the rows that count for
each, the first first; None leaves a failure as it is."""
_MEANINGS: dict[Cause, tuple[str, str]] = {
    "cut off": ("The answer was cut off before its end.", "Raise task.max_new_tokens."),
    "form": (
        "The answer has another form than the one wanted, or is none of the labels.",
        "Say the form in task.system, or train longer; rows of that form that were left out are missed.",
    ),
    "unseen label": ("No training row has the answer wanted.", "Add training rows with this answer."),
    "doubted row": (
        "A near training row teaches the answer that was given, and a check doubts that row.",
        "Look at these rows with `residency review`, and correct those that are wrong.",
    ),
    "taught": (
        "A training row that teaches the answer given is nearer than any that teaches the one wanted.",
        "Read these rows: correct them, or add rows that tell the two answers apart.",
    ),
    "far": ("No training row is much like it.", "Add training rows like these."),
    "confused": (
        "The nearest training rows teach the answer wanted, and the model gave another.",
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
    ranking: Ranking | None = None,
) -> list[TracedPart]:
    """Each failure with its cause and training rows, those that teach its wrong answer first.

    Args:
        failures: The failed rows.
        asked: What was asked in them, by their source, `file:row`.
        train: The rows trained on.
        findings: What the checks found of them.
        similarity: How likeness is told, by which causes go.
        ranking: Where it is given, the rows shown are those that it puts first.
    """
    if not failures:
        return []
    texts = [asked_text(example) for example in train]
    index = Nearest(texts, similarity)
    far = _farness(index, texts)
    examples = [asked[row.source] for row in failures]
    found = index.find(list(map(asked_text, examples)), _RANKED if ranking else _NEAR)
    rankings: Sequence[Sequence[Neighbour] | None] = [None] * len(failures)
    if ranking:
        rankings = ranking(failures, examples, found)
    labels = labels_of([example.answer for example in train])
    rows = _Rows(train, _doubted(findings), None if labels is None else set(labels), far)
    return [
        _traced(row, near[:_NEAR], ranked, rows)
        for row, near, ranked in zip(failures, found, rankings, strict=True)
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


@dataclass(frozen=True)
class _Rows:
    """The training rows, the checks that doubt some of them, the labels, and from where on a row is far."""

    train: Sequence[Example]
    doubted: Mapping[Source, list[str]]
    labels: set[str] | None
    far: float

    def parts(self, near: Sequence[Neighbour], failure: Scored) -> list[NearRowPart]:
        """Rows as they are shown beside a failure."""
        found = []
        for place, cosine in near:
            example = self.train[place]
            taught = self.teaching(example.answer, failure)
            found.append(
                NearRowPart(
                    source=str(example.source),
                    prompt=asked_text(example),
                    answer=example.answer,
                    cosine=round(min(cosine, 1.0), 4),
                    teaches_wrong=taught.wrong,
                    wrong_fields=list(taught.fields),
                    checks=self.doubted.get(example.source, []),
                )
            )
        return found

    def teaching(self, answer: str, failure: Scored) -> Teaching:
        """What a row with this answer teaches of a failure."""
        return teaching(answer, failure.expected, failure.got, self.labels is not None)


def _traced(
    row: Scored, near: Sequence[Neighbour], ranked: Sequence[Neighbour] | None, rows: _Rows
) -> TracedPart:
    parts, labels = rows.parts(near, row), rows.labels
    cause = _cause(row, parts, rows)
    is_pair = labels is not None and cause in ("doubted row", "taught", "confused")
    expected, got = row.expected.strip(), row.got.strip()
    wrong_first = sorted(parts, key=lambda part: not part.teaches_wrong)
    return TracedPart(
        cause=cause,
        pair=f"{expected} → {got}" if is_pair else expected if cause == "unseen label" else "",
        example_id=row.example_id,
        source=row.source,
        prompt=row.prompt,
        expected=row.expected,
        got=row.got,
        ranked_by="similarity" if ranked is None else "gradients",
        nearest=wrong_first[:_SHOWN] if ranked is None else rows.parts(ranked[:_SHOWN], row),
    )


def _cause(row: Scored, near: Sequence[NearRowPart], rows: _Rows) -> Cause:
    """The first cause that fits; `near` are the nearest rows, nearest first."""
    expected, got, labels = row.expected.strip(), row.got.strip(), rows.labels
    wrong = [part for part in near if part.teaches_wrong]
    right = [part for part in near if rows.teaching(part.answer, row).right]
    rules: tuple[tuple[Cause, Callable[[], bool]], ...] = (
        ("cut off", lambda: was_cut_off(row)),
        ("unseen label", lambda: labels is not None and expected not in labels),
        ("form", lambda: _another_form(expected, got) if labels is None else got not in labels),
        ("doubted row", lambda: any(part.checks for part in wrong)),
        ("far", lambda: _closest(near) < rows.far),
        ("taught", lambda: bool(wrong) and _closest(wrong) >= _closest(right)),
        ("confused", lambda: bool(right)),
    )
    return next((name for name, fits in rules if fits()), "other")


def _closest(parts: Sequence[NearRowPart]) -> float:
    """The cosine of the nearest of `parts`; of none, -1."""
    return parts[0].cosine if parts else -1.0


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
