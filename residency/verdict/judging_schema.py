"""The part of `report.json` on the judge."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from residency.evals.statistics import Interval
from residency.verdict.part import Count, Part, Share


class JudgePart(Part):
    """The judge: a model that graded the answers."""

    model: str
    """Its name, as the recipe gives it."""
    golden: Annotated[int, Field(ge=1)]
    """Answers graded by people, which it graded too."""
    agreement: Share
    """Share of them on which it gave the grade that people gave."""
    kappa: Annotated[float, Field(ge=-1, le=1)]
    """Cohen's kappa: agreement beyond chance."""
    interval: Interval
    """Interval of `kappa`, by the standard error of Fleiss, Cohen and Everitt."""
    questions: Count
    """Different questions it was asked: on the golden set, and on all answers that a score was wanted of."""
    spent: Annotated[float, Field(ge=0)]
    """What their replies cost by the recipe's prices, each counted once, paid for in this run or before."""
    winner_words: float | None = None
    """Where pairs are judged: median words of the better answer, over the test rows with one; else none."""
    loser_words: float | None = None
    """Median words of the other answer in these pairs: judges like long answers."""
