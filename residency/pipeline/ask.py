"""Candidates answer the frozen test rows and are scored: the baselines, then the tuned model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from residency.candidates.prompted import Prompted, draw_shots
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Example
from residency.core.workspace import write_jsonl
from residency.data.split import Frozen
from residency.evals.scored import Scored, Split, score_rows
from residency.evals.scorers import scorer_of
from residency.models.artifact import artifact_folder, load_artifact
from residency.models.language_model import LanguageModel, LocalModel
from residency.models.load import load_base
from residency.pipeline.askable import askable, require_askable


def ask_baselines(
    recipe: Recipe, instructions: str, dtype: str, frozen: Path, folder: Path, report: Reporter
) -> None:
    """The base and the prompted baselines answer the test; writes `scored.jsonl`."""
    rows = Frozen.read(frozen)
    base = load_base(recipe.base, getattr(torch, dtype))
    model = LocalModel(base.model, base.renderer, recipe.candidates.batch_size)
    train = askable([row.example for row in rows.train])
    test = [row.example for row in rows.test]
    require_askable(test, base.renderer)
    scored = [
        row
        for candidate in baselines(recipe, instructions, model, train)
        for row in _score(candidate, "test", test, recipe, report)
    ]
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))


def baselines(
    recipe: Recipe, instructions: str, model: LanguageModel, train: Sequence[Example]
) -> list[Prompted]:
    """The base as it is; zero-shot where there are instructions; few-shot."""
    system = recipe.task.system
    found = [Prompted("base", model, system=system)]
    if recipe.candidates.zero_shot and instructions:
        found.append(Prompted("zero-shot", model, instructions=instructions))
    if recipe.candidates.few_shot:
        shots = draw_shots(train, recipe.candidates.few_shot, recipe.split.seed)
        found.append(Prompted("few-shot", model, system=system, instructions=instructions, shots=shots))
    return found


def ask_tuned(recipe: Recipe, frozen: Path, trained: Path, folder: Path, report: Reporter) -> None:
    """The tuned model, as it was saved, answers the test and a sample of training rows."""
    rows = Frozen.read(frozen)
    tuned = load_artifact(recipe.base, artifact_folder(trained, recipe.train.method))
    answering = tuned.answering(recipe.candidates.batch_size)
    candidate = Prompted("tuned", answering, system=recipe.task.system)
    train = askable([row.example for row in rows.train])
    sample = random.Random(recipe.split.seed).sample(train, min(recipe.verdict.train_sample, len(train)))
    scored = _score(candidate, "test", [row.example for row in rows.test], recipe, report)
    scored += _score(candidate, "train", sample, recipe, report)
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))


def _score(
    candidate: Prompted, split: Split, examples: Sequence[Example], recipe: Recipe, report: Reporter
) -> list[Scored]:
    with report.track(f"{candidate.name} on {split}", len(examples), "rows") as advance:
        completions = candidate.answer(examples, recipe.task.max_new_tokens, advance)
    return score_rows(candidate.name, split, examples, completions, scorer_of(recipe))
