"""The stages before any model answers: check the rows, freeze the split."""

from __future__ import annotations

from pathlib import Path

from residency.chat import Renderer
from residency.core.recipe import Recipe
from residency.data.check import Examination, examine
from residency.data.split import freeze
from residency.evals.scored import require_form
from residency.evals.scorers import get_scorer
from residency.models.load import load_tokenizer
from residency.models.source import locate


def check(recipe: Recipe, folder: Path) -> None:
    """Read and examine the rows; writes the examination.

    Raises:
        ResidencyError: an answer is not of the scorer's form, so that no model could be scored.
    """
    renderer = Renderer(load_tokenizer(locate(recipe.base)))
    examination = examine(recipe.data, recipe.task.system, renderer)
    scorer = get_scorer(recipe.task.scorer)
    for rows in examination.examples.values():
        for row in rows:
            require_form(scorer, row.example)
    examination.write(folder)


def freeze_rows(recipe: Recipe, checked: Path, folder: Path) -> None:
    """Draw the sides; writes the rows of each, the ledger and the test's hash."""
    data = recipe.data
    own_test, own_validation = data.test is not None, data.validation is not None
    freeze(Examination.read(checked), recipe.split, own_test, own_validation).write(folder)
