"""The tuned model's failures on the test, each with the training rows most like it."""

from __future__ import annotations

from pathlib import Path

from residency.core.recipe import Recipe
from residency.core.workspace import write_jsonl
from residency.data.split.freeze import Frozen
from residency.evals.scored import read_scored
from residency.pipeline.askable import askable
from residency.verdict.causes import trace
from residency.verdict.decide import by_row
from residency.verdict.ways import TUNED


def trace_failures(recipe: Recipe, frozen: Path, compared: Path, folder: Path) -> None:
    """Trace them; writes `causes.jsonl`, a failure a line."""
    rows = Frozen.read(frozen)
    scored = read_scored(compared / "scored.jsonl")
    failures = [row for row in by_row(scored, TUNED).values() if not row.passed]
    asked = {str(row.example.source): row.example for row in rows.test}
    train = askable([row.example for row in rows.train])
    traced = trace(failures, asked, train, rows.findings, recipe.candidates.similarity)
    write_jsonl(folder / "causes.jsonl", (part.model_dump(mode="json") for part in traced))
