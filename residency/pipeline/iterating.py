"""From a finished run's failures to better data, a model trained on it, and what that changed.

    start = find_start(workflow, None)
    proposals = read_proposals(start)
    mended = mend(start)
    outcome = retrain(start, mended)

What is asked of a person in between are decisions in the review's file; only what was decided is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residency.core.errors import ResidencyError
from residency.core.records import fingerprint
from residency.core.workspace import Workspace, read_json, read_jsonl, write_json
from residency.data.mending.patch import beside
from residency.data.mending.review import Decision, decisions_file, original, read_decisions
from residency.data.split.freeze import Frozen
from residency.evals.scored import Scored, read_scored
from residency.pipeline.mending import Mended, mend_file
from residency.pipeline.needs import require_one_process
from residency.pipeline.reviewing import Review, review_of
from residency.pipeline.workflow import Workflow
from residency.verdict.change import Change, measure_change
from residency.verdict.proposals import Proposal

_RECORD = "iteration.json"
"""File of a run that an iteration made: what it came from."""
WORN = 4
"""Looks at one test from which on its figures are told to be worn."""


@dataclass(frozen=True)
class Start:
    """The finished run from which an iteration starts, and how many made it from the recipe's own run."""

    workflow: Workflow
    iterations: int


@dataclass(frozen=True)
class Passes:
    """Validation rows, and how many of them the tuned model has right."""

    passed: int
    n: int


@dataclass(frozen=True)
class Outcome:
    """The run that an iteration made, and what it changed."""

    workflow: Workflow
    mended: Mended
    change: Change
    before: Passes
    after: Passes
    looks: int
    """Runs of the workspace that were compared on this very test."""

    @property
    def sentence(self) -> str:
        """What was mended, and what that changed on the test."""
        return self.change.sentence(count_mended(self.mended))

    def to_json(self) -> dict[str, Any]:
        """Runs, files, the change, validation before and after, and how often the test was looked at."""
        return {
            "run": self.workflow.name,
            "mended": count_mended(self.mended),
            "data": self.mended.to_json(),
            "test": self.change.to_json(),
            "validation": {"before": self.before.__dict__, "after": self.after.__dict__},
            "looks": self.looks,
            "sentence": self.sentence,
        }


def find_start(root: Workflow, run: str | None) -> Start:
    """The newest finished run that iterations made from the recipe's own one, or the one called `run`.

    Raises:
        ResidencyError: the recipe was not run as it stands, `run` does not come from it, or its test rows
            are no longer those it was asked.
    """
    fix = "Run it without torchrun; or mend with `residency check --fix`, and train on the new file."
    require_one_process("An iteration is made by one process.", "iterate", fix)
    _require_done(root)
    workspace = root.workspace
    records = {
        name: read_json(file)
        for name in workspace.run_names()
        if (file := _record(workspace, name)).is_file()
    }
    origins = {name: record["from"] for name, record in records.items() if name != root.name}
    path = _newest_path(root.name, origins) if run is None else _path_to(workspace.run(run).name, origins)
    if path[0] != root.name:
        fix = f"Give --set as that run had it; or start from the recipe's own run, {root.name}."
        raise ResidencyError("This run is not of this recipe as it stands.", f"--run {run}", fix)
    workflow = root
    if len(path) > 1:
        train = records[path[-1]]["train"]
        workflow = _with_data(root, Path(train))
        if workflow.name != path[-1]:
            fix = f"Put it back; or start from an earlier run: --run {path[-2]}"
            raise ResidencyError(f"The mended file of {path[-1]} was changed.", train, fix)
    _require_test(workflow, _test_hash(workflow.folder))
    return Start(workflow, len(path) - 1)


def _newest_path(root: str, origins: Mapping[str, str]) -> list[str]:
    """From the recipe's own run to the newest one made from it; `origins` are in order, the newest first."""
    path = [root]
    while later := [run for run, origin in origins.items() if origin == path[-1] and run not in path]:
        path.append(later[0])
    return path


def _path_to(run: str, origins: Mapping[str, str]) -> list[str]:
    """The runs that led to this one, the first one first."""
    path = [run]
    while path[0] in origins and origins[path[0]] not in path:
        path.insert(0, origins[path[0]])
    return path


def read_proposals(start: Start) -> list[Proposal]:
    """The training rows to judge, those that most validation failures blame first."""
    return list(map(Proposal.from_json, read_jsonl(start.workflow.blamed / "proposals.jsonl")))


def open_proposals(start: Start, proposals: Sequence[Proposal]) -> Review:
    """The review of the proposed rows."""
    return review_of(start.workflow.recipe.data, [proposal.suspect for proposal in proposals])


def accept_suggested(review: Review, least: float) -> int:
    """Decide for every suggested answer whose row is suspected that much and can hold it; how many."""
    accepted = 0
    for suspect in review.suspects:
        answer = suspect.answer
        if answer is None or suspect.suspicion < least or review.edited(suspect, answer) is None:
            continue
        review.decide(suspect, "edit", answer, by=f"accepted at suspicion {suspect.suspicion:.2f}")
        accepted += 1
    return accepted


def mend(start: Start) -> Mended | None:
    """Write a new training file as the decisions say on the rows trained on; None where they change none.

    Its name holds a hash of what it was made from, so that the same decisions give the same file.
    """
    workflow = start.workflow
    data = workflow.recipe.data
    decisions = _changes(start)
    if not decisions:
        return None
    done = sorted((id, decision.action, decision.answer) for id, decision in decisions.items())
    name = fingerprint([workflow.inputs.hashes["train"], done], length=6)
    out = beside(original(data.train), f".mended-{name}.jsonl")
    mended = mend_file(data, workflow.checked, out, ("review",), decisions)
    return mended if count_mended(mended) else None


def _changes(start: Start) -> Mapping[str, Decision]:
    """The decisions that change rows which were trained on: others might move the test."""
    trained = {row.example.id for row in Frozen.read(start.workflow.frozen).train}
    decisions = read_decisions(decisions_file(start.workflow.recipe.data.train))
    return {id: made for id, made in decisions.items() if id in trained and made.action != "keep"}


def count_mended(mended: Mended) -> int:
    """The rows that a decision changed or took out."""
    return sum("review" in fate.checks for fate in mended.fixed.fates)


def retrain(start: Start, mended: Mended) -> Outcome:
    """Run the recipe on the mended file, and compare the two tuned models on the test.

    Raises:
        ResidencyError: the test is not that of the earlier run; nothing is trained then.
    """
    before = start.workflow
    after = _with_data(before, mended.out)
    test_hash = _test_hash(before.folder)
    _require_test(after, test_hash)
    after.conclude()
    confidence = after.recipe.verdict.confidence
    outcome = Outcome(
        after,
        mended,
        measure_change(_scored(before.folder), _scored(after.folder), confidence),
        count_passes(before),
        count_passes(after),
        count_looks(after.workspace, test_hash),
    )
    record = {"from": before.name, "train": str(mended.out), **outcome.to_json()}
    write_json(_record(after.workspace, after.name), record)
    return outcome


def count_passes(workflow: Workflow) -> Passes:
    """The tuned model on all validation rows."""
    rows = _scored(workflow.blamed)
    return Passes(sum(row.passed for row in rows), len(rows))


def count_looks(workspace: Workspace, test_hash: str) -> int:
    """The runs of the workspace with a report on this test."""
    folders = (workspace.runs / name for name in workspace.run_names())
    return sum(_test_hash(folder) == test_hash for folder in folders if (folder / "report.json").is_file())


def _test_hash(run: Path) -> str:
    test_hash: str = read_json(run / "report.json")["data"]["test_hash"]
    return test_hash


def _require_test(workflow: Workflow, test_hash: str) -> None:
    """Before anything is trained: another test's figures must never be compared."""
    if Frozen.read(workflow.frozen).test_hash != test_hash:
        what = "The test rows changed, so that the two runs cannot be compared; nothing was trained."
        fix = "Put the workspace's lock of the split back; or run the recipe anew, and iterate from that run."
        raise ResidencyError(what, str(workflow.inputs.lock.folder), fix)


def _scored(folder: Path) -> list[Scored]:
    return read_scored(folder / "scored.jsonl")


def _record(workspace: Workspace, run: str) -> Path:
    return workspace.runs / run / _RECORD


def _with_data(workflow: Workflow, train: Path) -> Workflow:
    """The workflow of the same recipe on another training file."""
    recipe = workflow.recipe
    data = recipe.data.model_copy(update={"train": train})
    return Workflow(recipe.model_copy(update={"data": data}), workflow.workspace, workflow.report)


def _require_done(root: Workflow) -> None:
    file = root.folder / "run.json"
    status = read_json(file)["status"] if file.is_file() else "missing"
    if status != "done":
        what = f"This recipe, as it and its files stand, has no finished run: {root.name} is {status}."
        fix = "Run it first: residency run, with the same recipe and the same --set."
        raise ResidencyError(what, str(root.workspace.runs), fix)
