"""The suites asked of the base and of the tuned model, outside the task and without its system prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Message
from residency.core.workspace import write_jsonl
from residency.evals.scored import Scored
from residency.evals.suites.items import Suite
from residency.evals.suites.load import load_suites
from residency.evals.suites.score import score_answers, score_likelihoods
from residency.models.artifact import artifact_folder, load_artifact
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.verdict.ways import BASE, TUNED

_MAX_NEW_TOKENS = 64
"""Enough to see whether a request is declined, and for everything that `general` asks for."""


def ask_base(recipe: Recipe, dtype: str, folder: Path, report: Reporter) -> None:
    """The base is asked the recipe's suites; writes `scored.jsonl`."""
    base = load_base(recipe.base, getattr(torch, dtype))
    model = LocalModel(base.model, base.renderer, recipe.candidates.batch_size)
    _measure(BASE, model, recipe, folder, report)


def ask_tuned(recipe: Recipe, trained: Path, folder: Path, report: Reporter) -> None:
    """The tuned model, as it was saved, is asked the recipe's suites; writes `scored.jsonl`."""
    tuned = load_artifact(recipe.base, artifact_folder(trained, recipe.train.method))
    _measure(TUNED, tuned.answering(recipe.candidates.batch_size), recipe, folder, report)


def _measure(candidate: str, model: LocalModel, recipe: Recipe, folder: Path, report: Reporter) -> None:
    settings = recipe.regression
    suites = [suite.limited(settings.items) for suite in load_suites(settings.suites)]
    rows = measure_suites(candidate, model, suites, report)
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in rows))


def measure_suites(
    candidate: str, model: LocalModel, suites: Sequence[Suite], report: Reporter
) -> list[Scored]:
    """Every item of every suite: by likelihood where it has wrong answers, else by what is answered."""
    rows = []
    for suite in suites:
        likely = [item for item in suite.items if item.wrong]
        asked = [item for item in suite.items if not item.wrong]
        with report.track(f"{candidate} on {suite.name}", len(suite.items), "items") as advance:
            options = [
                (item.conversation, [Message("assistant", text) for text in item.options]) for item in likely
            ]
            likelihoods = model.likelihoods(options, advance)
            completions = model.complete([item.conversation for item in asked], _MAX_NEW_TOKENS, advance)
        rows += score_likelihoods(candidate, suite.name, likely, likelihoods)
        rows += score_answers(candidate, suite.name, asked, completions)
    return rows
