"""Candidates answer the frozen test rows and are scored: the baselines, then the tuned model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from residency.candidates.candidate import Candidate
from residency.candidates.prompted import Prompted
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Completion, Example
from residency.core.workspace import write_json, write_jsonl
from residency.data.split.freeze import Frozen
from residency.evals.scored import Scored, Split, score_rows, was_cut_off
from residency.evals.scorers import scorer_of
from residency.models.artifact import artifact_folder, load_artifact
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.models.remote import CapReached, RemoteModel
from residency.pipeline.askable import askable, require_askable
from residency.pipeline.baselines import Sides, baselines, prompted, retrievers
from residency.pipeline.constraint import constraint_of
from residency.pipeline.recall import add_likelihoods, draw, likely_test, recall
from residency.verdict.ways import BASE, TUNED, TUNED_RETRIEVAL, tuned_on


def ask_baselines(
    recipe: Recipe, instructions: str, dtype: str, frozen: Path, folder: Path, report: Reporter
) -> None:
    """All candidates but the tuned ones answer the test; writes `scored.jsonl` and `choices.json`."""
    rows = Frozen.read(frozen)
    base = load_base(recipe.base, getattr(torch, dtype))
    sides = Sides(askable([row.example for row in rows.train]), [row.example for row in rows.validation])
    constraint = constraint_of(recipe.task, sides.train)
    model = LocalModel(base.model, base.renderer, recipe.candidates.batch_size, constraint)
    test = [row.example for row in rows.test]
    require_askable(test, base.renderer)
    candidates, choices = baselines(recipe, instructions, model, sides, report)
    scored = []
    for candidate in candidates:
        answered = _score_test(candidate, test, recipe, report)
        if isinstance(candidate, Prompted) and candidate.name == BASE:
            answered = add_likelihoods(answered, candidate, model, likely_test(rows, recipe.split.seed))
        scored += answered
    write_json(folder / "choices.json", [choice.model_dump(mode="json") for choice in choices])
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))


def ask_remote(recipe: Recipe, instructions: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """The remote models answer the test as the base does; writes `scored.jsonl` and `incomplete.json`.

    A candidate that could not ask all rows for its money is told there and has no scored rows. What counts
    against the cap of each model is written to `spent.json`.
    """
    rows = Frozen.read(frozen)
    train = askable([row.example for row in rows.train])
    test = [row.example for row in rows.test]
    scored, incomplete, spent = [], [], {}
    constraint = constraint_of(recipe.task, train)
    for remote in recipe.candidates.remote:
        model = RemoteModel(remote, constraint=constraint)
        local = prompted(recipe, instructions, model, train, max(recipe.candidates.few_shot))
        asked = local[1:] or local
        shown = any(candidate.shots or candidate.retrievers for candidate in asked)
        beside = ", with the training rows and passages shown beside them" if shown else ""
        report.say(f"  {len(test):,} test rows are sent to {remote.url}{beside}")
        for candidate in asked:
            named = replace(candidate, name=f"{remote.name}/{candidate.name}")
            try:
                answered = _score_test(named, test, recipe, report)
            except CapReached as reached:
                report.say(f"  {named.name} is incomplete: {reached.what}")
                known = {"answered": reached.answered, "n": reached.asked, "spent": reached.spent}
                incomplete.append({"name": named.name, **known})
                continue
            scored += answered
            if cut := sum(map(was_cut_off, answered)):
                told = f"{cut:,} of {len(answered):,} answers failed as their room ended, thinking included"
                report.say(f"  {named.name}: {told}; max_tokens gives more")
        spent[remote.name] = model.budget.spent
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))
    write_json(folder / "incomplete.json", incomplete)
    write_json(folder / "spent.json", spent)


def ask_base(recipe: Recipe, dtype: str, frozen: Path, folder: Path, report: Reporter) -> None:
    """The base on what tells memorising from understanding; writes `scored.jsonl`."""
    base = load_base(recipe.base, getattr(torch, dtype))
    rows = Frozen.read(frozen)
    constraint = constraint_of(recipe.task, askable([row.example for row in rows.train]))
    model = LocalModel(base.model, base.renderer, recipe.candidates.batch_size, constraint)
    candidate = Prompted(BASE, model, system=recipe.task.system)
    scored = recall(candidate, model, draw(recipe, rows), recipe, report)
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))


def ask_tuned(recipe: Recipe, frozen: Path, trained: Path, folder: Path, report: Reporter) -> None:
    """The tuned model, as it was saved, on the test and on what tells memorising from understanding."""
    rows = Frozen.read(frozen)
    train, test = askable([row.example for row in rows.train]), [row.example for row in rows.test]
    model = load_tuned(recipe, train, trained)
    candidate, drawn = Prompted(TUNED, model, system=recipe.task.system), draw(recipe, rows)
    scored = add_likelihoods(_score_test(candidate, test, recipe, report), candidate, model, drawn.test)
    scored += recall(candidate, model, drawn, recipe, report)
    if recipe.candidates.tuned_retrieval:
        found = tuple(retrievers(recipe, train).values())
        helped = Prompted(TUNED_RETRIEVAL, model, system=recipe.task.system, retrievers=found)
        scored += _score_test(helped, test, recipe, report)
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))


def load_tuned(recipe: Recipe, train: Sequence[Example], trained: Path) -> LocalModel:
    """The tuned model as it was saved, held to the form of answers that the recipe and `train` give."""
    tuned = load_artifact(recipe.base, artifact_folder(trained, recipe.train.method))
    return tuned.answering(recipe.candidates.batch_size, constraint_of(recipe.task, train))


def ask_part(
    recipe: Recipe, frozen: Path, trained: Path, percent: int, folder: Path, report: Reporter
) -> None:
    """The model tuned on a part of the training rows answers the test; writes `scored.jsonl`."""
    rows = Frozen.read(frozen)
    model = load_tuned(recipe, askable([row.example for row in rows.train]), trained)
    candidate = Prompted(tuned_on(percent), model, system=recipe.task.system)
    scored = _score_test(candidate, [row.example for row in rows.test], recipe, report, "part")
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in scored))


def _score_test(
    candidate: Candidate, test: Sequence[Example], recipe: Recipe, report: Reporter, split: Split = "test"
) -> list[Scored]:
    with report.track(f"{candidate.name} on test", len(test), "rows") as advance:
        completions = candidate.answer(test, recipe.task.max_new_tokens, advance)
    if told := _left_out(candidate.name, completions):
        report.say(told)
    return score_rows(candidate.name, split, test, completions, scorer_of(recipe))


def _left_out(name: str, completions: Sequence[Completion]) -> str:
    """One line on what was retrieved and found no room in the base's context, if anything."""
    left_out = [completion.left_out for completion in completions if completion.left_out]
    if not left_out:
        return ""
    return (
        f"  {name}: {len(left_out):,} of {len(completions):,} prompts had no room for all that was found; "
        f"{sum(left_out):,} of the farthest were left out"
    )
