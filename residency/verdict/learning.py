"""The learning curve: from the rows scored after parts of the training to what more training rows bring."""

from __future__ import annotations

from collections.abc import Sequence

from residency.core.errors import ResidencyError
from residency.core.recipe import Verdict
from residency.evals.scored import Scored
from residency.evals.statistics import Interval, foresee_doubling, own_cluster_each
from residency.verdict.decide import by_row, summarise_one
from residency.verdict.learning_schema import LearningCurvePart, LearningPointPart, Outlook
from residency.verdict.report_schema import TrainingPart
from residency.verdict.ways import TUNED


def measure_learning(
    rows: Sequence[Scored], training: TrainingPart, settings: Verdict
) -> LearningCurvePart | None:
    """The curve with its outlook; none where nothing was trained on parts of the rows.

    Raises:
        ResidencyError: a part was asked other test rows than the tuned model.
    """
    if not training.parts:
        return None
    tuned = by_row(rows, TUNED)
    answered = {part.rows: by_row(rows, part.candidate, "part") for part in training.parts}
    if any(part.keys() != tuned.keys() for part in answered.values()):
        what = "The points of the learning curve answered different test rows."
        raise ResidencyError(what, "the scored rows", "Run the recipe again.")
    answered[training.rows - training.replay_rows] = tuned
    points = [_point(count, list(part.values()), settings.confidence) for count, part in answered.items()]
    doubling = foresee_doubling(
        list(answered),
        [[part[key].passed for key in tuned] for part in answered.values()],
        own_cluster_each(row.cluster for row in tuned.values()),
        settings.confidence,
    )
    learned = any(point.mean for point in points)
    little = max(settings.tolerance, settings.margin)
    return LearningCurvePart(
        points=points,
        exponent=doubling.exponent,
        gain=doubling.gain,
        interval=doubling.interval,
        outlook=outlook(doubling.interval, little) if learned else "cannot tell",
    )


def outlook(gain: Interval, little: float) -> Outlook:
    """What the interval of the gain says, where less than `little` is none worth having."""
    if gain.high < 0:
        return "falls"
    if gain.high < little:
        return "flat"
    return "rises" if gain.low > 0 else "cannot tell"


def _point(count: int, rows: Sequence[Scored], confidence: float) -> LearningPointPart:
    told = summarise_one(TUNED, rows, confidence)
    return LearningPointPart(rows=count, mean=told.mean, interval=told.interval)
