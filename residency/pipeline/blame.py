"""The tuned model on all validation rows, and the training rows that its failures there speak against.

The test's answers are not looked at, and the checks that doubt training rows see training rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from residency.candidates.prompted import Prompted
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Source
from residency.core.workspace import write_jsonl
from residency.data.checks.label_errors import label_errors
from residency.data.labels import labels_of
from residency.data.split.freeze import Frozen
from residency.evals.scored import read_scored
from residency.pipeline.ask import load_tuned
from residency.pipeline.askable import askable
from residency.pipeline.gradients import ranking_of
from residency.pipeline.recall import score_split
from residency.pipeline.unlearned import find_unlearned
from residency.verdict.causes import trace
from residency.verdict.proposals import Doubt, blames_of, propose
from residency.verdict.unlearned import Unlearned
from residency.verdict.ways import TUNED

_CONFLICTS = ("conflict", "near-conflict")


def blame(
    recipe: Recipe, frozen: Path, trained: Path, compared: Path, folder: Path, report: Reporter
) -> None:
    """Ask the rows that the comparison did not ask, and trace the failures.

    Where answers are no labels, training rows that the tuned model has not learned are looked for as well.
    Writes `scored.jsonl`, the validation rows, and `proposals.jsonl`, the training rows to judge.
    """
    rows = Frozen.read(frozen)
    answered = read_scored(compared / "scored.jsonl")
    answered = [row for row in answered if (row.candidate, row.split) == (TUNED, "validation")]
    known = {(row.example_id, row.source) for row in answered}
    train = askable([row.example for row in rows.train])
    asked = [row.example for row in rows.validation if not row.example.is_text]
    left = [example for example in asked if (example.id, str(example.source)) not in known]
    if left:
        candidate = Prompted(TUNED, load_tuned(recipe, train, trained), system=recipe.task.system)
        with report.track(f"{TUNED} on validation", len(left), "rows") as advance:
            answered += score_split(candidate, "validation", left, recipe, advance)
        del candidate  # a ranking loads the model again, to train
    failures = [row for row in answered if not row.passed]
    by_source = {str(example.source): example for example in asked}
    ranking = ranking_of(recipe, trained, train, report)
    traced = trace(failures, by_source, train, (), recipe.candidates.similarity, ranking)
    blames = blames_of(traced)
    not_learned: Mapping[Source, Unlearned] = {}
    if labels_of([example.answer for example in train]) is None:
        of_source = {str(example.source): example for example in train}
        blamed = [of_source[source] for source in blames]
        not_learned = find_unlearned(recipe, load_tuned(recipe, train, trained), train, blamed, report)
    doubts = _doubts(rows, recipe)
    proposals = propose(train, blames, doubts, not_learned, recipe.candidates.similarity)
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in answered))
    write_jsonl(folder / "proposals.jsonl", (proposal.to_json() for proposal in proposals))


def _doubts(rows: Frozen, recipe: Recipe) -> Iterator[Doubt]:
    """Doubtful labels, sought anew among the training rows; conflicts of two training rows."""
    train = {row.example.source for row in rows.train}
    yield from (("label-error", flag) for flag in label_errors(rows.train, recipe.data))
    for finding in rows.findings:
        if finding.id in _CONFLICTS:
            yield from ((finding.id, f) for f in finding.rows if f.source in train and f.other in train)
