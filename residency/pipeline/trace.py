"""The tuned model's failures on the test, each with the training rows that explain it."""

from __future__ import annotations

from pathlib import Path

from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.workspace import write_json, write_jsonl
from residency.data.split.freeze import Frozen
from residency.evals.scored import read_scored
from residency.pipeline.askable import askable
from residency.pipeline.gradients import ranking_of
from residency.verdict.causes import trace
from residency.verdict.decide import by_row
from residency.verdict.ways import TUNED


def trace_failures(
    recipe: Recipe, frozen: Path, trained: Path, compared: Path, folder: Path, report: Reporter
) -> None:
    """Trace them; writes `causes.jsonl`, a failure a line, and `tracing.json` where gradients were asked."""
    rows = Frozen.read(frozen)
    scored = read_scored(compared / "scored.jsonl")
    failures = [row for row in by_row(scored, TUNED).values() if not row.passed]
    asked = {str(row.example.source): row.example for row in rows.test}
    train = askable([row.example for row in rows.train])
    ranking = ranking_of(recipe, trained, train, report)
    traced = trace(failures, asked, train, rows.findings, recipe.candidates.similarity, ranking)
    write_jsonl(folder / "causes.jsonl", (part.model_dump(mode="json") for part in traced))
    if ranking and ranking.told:
        write_json(folder / "tracing.json", ranking.told.model_dump(mode="json"))
