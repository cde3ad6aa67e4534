"""The score that early stopping may go by: validation rows answered and scored during training."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from statistics import fmean

from residency.candidates.prompted import Prompted
from residency.core.progress import no_progress
from residency.core.recipe import Recipe
from residency.core.records import Example
from residency.evals.scored import grade
from residency.evals.scorers import scorer_of
from residency.models.language_model import LanguageModel


def watch_score(recipe: Recipe, model: LanguageModel, validation: Sequence[Example]) -> Callable[[], float]:
    """What gives the mean score of the model's answers, as it is when called, to the same rows each time."""
    tuned = Prompted("tuned", model, system=recipe.task.system)
    scorer = scorer_of(recipe)
    asked = random.Random(recipe.split.seed).sample(validation, min(recipe.train.watch_rows, len(validation)))

    def score() -> float:
        completions = tuned.answer(asked, recipe.task.max_new_tokens, no_progress)
        pairs = zip(asked, completions, strict=True)
        return fmean(grade(scorer, example, completion.text).value for example, completion in pairs)

    return score
