"""The golden set as scored rows, so that a judge's agreement with people can be made anew from them."""

from __future__ import annotations

from collections.abc import Sequence

from residency.core.records import fingerprint
from residency.evals.scored import Scored
from residency.evals.scorers.judge import Graded

JUDGE = "judge"
"""The candidate of these rows; another way to answer has another name."""


def score_golden(graded: Sequence[Graded]) -> list[Scored]:
    """A row for each answer that people graded, passed where the judge's grade is theirs."""
    return [
        Scored(
            candidate=JUDGE,
            split="golden",
            example_id=fingerprint([row.input, row.expected, row.answer]),
            source=row.source,
            prompt=row.input,
            expected=row.people,
            got=row.judge,
            score=float(row.people == row.judge),
            passed=row.people == row.judge,
            reason=""
            if row.people == row.judge
            else f"people say {row.people}, the judge {row.judge or 'nothing'}",
            prompt_tokens=0,
            completion_tokens=0,
            seconds=0.0,
        )
        for row in graded
    ]
