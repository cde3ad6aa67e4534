"""The parts of `report.json` on the learning curve: trainings on parts of the rows, points, and outlook."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from residency.evals.statistics import Interval
from residency.verdict.part import Count, Part, Share

Outlook = Literal["rises", "flat", "falls", "cannot tell"]


class PartTrainingPart(Part):
    """A training on a part of the rows, all else as the run's own."""

    candidate: str
    """What answered as `part` in `scored.jsonl`: `tuned-25`, `tuned-50`."""
    rows: Annotated[int, Field(ge=1)]
    """Training rows, general ones not counted; a larger part holds a smaller."""
    steps: Count
    """Optimiser steps done."""
    best_step: Count
    """The step whose checkpoint answered."""
    seconds: float
    """Time its training took."""


class LearningPointPart(Part):
    """The method after so many training rows, on the frozen test rows."""

    rows: Annotated[int, Field(ge=1)]
    """Training rows, general ones not counted."""
    mean: Share
    """Share of the test rows that passed."""
    interval: Interval
    """Wilson's interval of `mean`."""


class LearningCurvePart(Part):
    """How the tuned model's share grows with its training rows, and what twice as many would bring."""

    points: list[LearningPointPart]
    """The fewest rows first; the last point is the run's own tuned model."""
    exponent: float
    """b of the fitted law, failures = a rows^-b."""
    gain: float
    """What twice the rows would add to the share, by that law."""
    interval: Interval
    """Bootstrap interval of `gain`: the same test rows drawn for all points."""
    outlook: Outlook
    """By the interval: `falls` below 0; `flat` if it ends below the tolerance; `rises` above 0."""
