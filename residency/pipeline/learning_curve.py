"""The learning curve: the tuned method on nested parts of the training rows, to foresee more of them.

The run's own tuned model is the curve's last point and is not trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from residency.core.recipe import Recipe
from residency.core.workspace import read_json
from residency.verdict.learning_schema import PartTrainingPart
from residency.verdict.ways import tuned_on

PERCENTS = (25, 50)
"""Parts of the training rows that are trained on, a larger one holding a smaller."""


class PartOfRows(NamedTuple):
    """A share of the training rows, to be trained on as all of them were before."""

    share: float
    checkpointed: bool | None
    """Whether gradients are checkpointed, where memory need not be measured anew to tell."""


def as_tuned(recipe: Recipe, trained: Path) -> Recipe:
    """The recipe with the settings that the run's model was trained with: those a sweep chose, if any."""
    tried = read_json(trained / "training.json").get("sweep", ())
    chosen: dict[str, Any] = next((trial["settings"] for trial in tried if trial["chosen"]), {})
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=chosen)})


def share_of(percent: int, recipe: Recipe, trained: Path) -> PartOfRows:
    """The part of the rows that is trained on; what was measured for all of them holds for it."""
    was: bool = read_json(trained / "training.json")["gradient_checkpointing"]
    return PartOfRows(percent / 100, was if recipe.train.gradient_checkpointing == "auto" else None)


def trainings_of(stages: Mapping[str, Path]) -> list[PartTrainingPart]:
    """What was trained on parts of the rows, the smallest first; nothing without a learning curve."""
    folders = {percent: stages[f"part-{percent}"] for percent in PERCENTS if f"part-{percent}" in stages}
    told = {percent: read_json(folder / "training.json") for percent, folder in folders.items()}
    return [
        PartTrainingPart(
            candidate=tuned_on(percent),
            rows=training["rows"] - training["replay_rows"],
            steps=training["steps"],
            best_step=training["best_step"],
            seconds=training["seconds"],
        )
        for percent, training in told.items()
    ]
