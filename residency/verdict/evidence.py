"""All of the report that rests on scored rows, made from them alone, and whether a report says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose
from textwrap import shorten
from typing import Any, NamedTuple

from residency.core.recipe import Recipe
from residency.evals.asked import Asked
from residency.evals.scored import Scored
from residency.evals.scorers.score import quote
from residency.verdict import reasons
from residency.verdict.advice import advise
from residency.verdict.advice_schema import AdvicePart
from residency.verdict.costs import training_seconds
from residency.verdict.data_schema import DataPart
from residency.verdict.decide import Beside, compare, decide, measure_gap, pick_failures, summarise
from residency.verdict.judging import measure_judge
from residency.verdict.judging_schema import JudgePart
from residency.verdict.learning import measure_learning
from residency.verdict.learning_schema import LearningCurvePart
from residency.verdict.memorisation import measure_memorisation
from residency.verdict.memorisation_schema import MemorisationPart
from residency.verdict.part import Part
from residency.verdict.regressions import find_regressions
from residency.verdict.remote_costs import add_costs
from residency.verdict.report_schema import (
    CandidateSummary,
    ComparisonPart,
    FailurePart,
    GapPart,
    RegressionPart,
    Report,
    TrainingPart,
    VerdictPart,
)

_TOLERANCE = 1e-9
"""By how much two sums of the same numbers may differ, of their size or of 1."""


class Evidence(NamedTuple):
    """The parts of the report that rest on scored rows, by their names there."""

    candidates: list[CandidateSummary]
    advice: AdvicePart
    comparisons: list[ComparisonPart]
    gap: GapPart
    memorisation: MemorisationPart | None
    learning_curve: LearningCurvePart | None
    failures: list[FailurePart]
    regressions: list[RegressionPart]
    judge: JudgePart | None
    verdict: VerdictPart


def weigh(
    rows: Sequence[Scored],
    training: TrainingPart,
    recipe: Recipe,
    data: DataPart,
    asked: Sequence[Asked] = (),
) -> Evidence:
    """The evidence of the rows; the training's curve and the data go into the verdict's reasons alone.

    `asked` is what the judge was asked, on which no verdict depends.

    Raises:
        ResidencyError: rows are missing that a verdict needs.
    """
    settings, margin = recipe.verdict, recipe.regression.margin
    regressions = find_regressions(rows, margin, settings.confidence)
    comparisons = compare(rows, settings.confidence)
    candidates = add_costs(summarise(rows, settings.confidence), rows, recipe.candidates)
    advice = advise(candidates, rows, settings, recipe.prices, training_seconds(training))
    learning = measure_learning(rows, training, settings)
    beside = Beside(
        overlap=data.overlap,
        regressed=reasons.regressed(regressions, margin, settings.confidence),
        ceiling=data.ceiling,
        overfitted=reasons.overfitted(training.curve, training.best_step),
        learning=learning,
    )
    return Evidence(
        candidates,
        advice,
        comparisons,
        measure_gap(rows, settings.confidence),
        measure_memorisation(rows, settings.confidence),
        learning,
        pick_failures(rows),
        regressions,
        measure_judge(rows, asked, recipe),
        decide(rows, settings, advice, beside),
    )


def recompute(rows: Sequence[Scored], report: Report, asked: Sequence[Asked] = ()) -> Report:
    """The report with its evidence made anew from the rows, by the report's own recipe and curve."""
    recipe = Recipe.model_validate(report.recipe)
    evidence = weigh(rows, report.training, recipe, report.data, asked)
    return report.model_copy(update=evidence._asdict())


def differences(report: Report, other: Report) -> list[str]:
    """Each figure on which two reports differ, as `candidates[2].mean: 0.88, and 0.9`.

    Numbers with a fraction may be off by a billionth, as another machine's sums are. A field that a report
    read from a file of before it was told does not have there, and that is None without it, is passed over.
    """
    return list(_differences("", report, other))


def _differences(path: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, Part) and isinstance(other, Part):
        told = [key for key, value in one if value is not None or key in one.model_fields_set]
        one, other = ({key: getattr(part, key) for key in told} for part in (one, other))
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from _differences(f"{path}.{key}" if path else key, one[key], other[key])
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differences(f"{path}[{number}]", a, b)
    elif isinstance(one, float) and isinstance(other, float):
        if not isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield f"{path}: {one}, and {other}"
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        yield f"{path}: {len(one)} entries, and {len(other)}"
    elif one != other:
        yield f"{path}: {_shown(one)}, and {_shown(other)}"


def _shown(value: Any) -> str:
    """The value on one line, cut where it is long."""
    return quote(value) if isinstance(value, str) else shorten(str(value), 80, placeholder=" …")
