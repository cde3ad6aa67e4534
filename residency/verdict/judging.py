"""What is known of the judge that graded the answers: its agreement with people, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from residency.core.recipe import Recipe
from residency.evals.asked import Asked
from residency.evals.scored import Scored
from residency.evals.statistics import cohen_kappa, kappa_interval
from residency.verdict.judging_schema import JudgePart

_PAIRS = "pairwise_judge"


def measure_judge(rows: Sequence[Scored], asked: Sequence[Asked], recipe: Recipe) -> JudgePart | None:
    """The judge by the golden rows, the judged pairs and what was asked; None where no judge graded any."""
    golden = [row for row in rows if row.split == "golden"]
    if not golden:
        return None
    grades = [row.expected for row in golden], [row.got for row in golden]
    pairs = _pairs(rows) if recipe.task.scorer == _PAIRS else []
    return JudgePart(
        model=recipe.judge.model,
        golden=len(golden),
        agreement=fmean(row.passed for row in golden),
        kappa=cohen_kappa(*grades),
        interval=kappa_interval(*grades, recipe.verdict.confidence),
        questions=len(asked),
        spent=sum(recipe.judge.cost(one.prompt_tokens, one.completion_tokens) for one in asked),
        winner_words=median(_words(winner) for winner, _ in pairs) if pairs else None,
        loser_words=median(_words(loser) for _, loser in pairs) if pairs else None,
    )


def _pairs(rows: Sequence[Scored]) -> list[tuple[str, str]]:
    """The better and the other answer of each test row on which one was better."""
    decided = (row for row in rows if row.split == "test" and row.score in (0, 1))
    return [(row.got, row.expected) if row.score else (row.expected, row.got) for row in decided]


def _words(text: str) -> int:
    return len(text.split())
