"""The last stage: scored rows, curve and ledger become the run's report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from residency.core.workspace import (
    encode_row,
    read_json,
    read_jsonl,
    write_json,
    write_jsonl,
    write_lines,
    write_text,
)
from residency.data.ledger import in_order
from residency.data.reading.sources import replay_file
from residency.data.split.freeze import Frozen
from residency.evals.asked import read_asked, write_asked
from residency.evals.scored import Scored
from residency.models.artifact import artifact_folder
from residency.pipeline.inputs import Inputs
from residency.pipeline.learning_curve import trainings_of
from residency.pipeline.project import is_template
from residency.verdict.causes import group_causes
from residency.verdict.causes_schema import TracedPart, TracingPart
from residency.verdict.data_schema import CeilingPart, DataPart, FilePart, FindingPart
from residency.verdict.evidence import weigh
from residency.verdict.html import render_html
from residency.verdict.memorisation_schema import ParaphrasesPart
from residency.verdict.report_schema import (
    BasePart,
    ChoicePart,
    IncompletePart,
    Report,
    TrainingPart,
)


def conclude(folder: Path, inputs: Inputs, dtype: str, stages: Mapping[str, Path]) -> Report:
    """Write `report.json` and `report.html`, `scored.jsonl`, `causes.jsonl` and `ledger.jsonl` to `folder`,
    and `judged.jsonl` where a judge graded.

    A report that is there already for the same stages keeps its date.
    """
    asked = [file for stage in stages.values() if (file := stage / "scored.jsonl").is_file()]
    scored_rows = [row for file in asked for row in read_jsonl(file)]
    rows = [Scored.from_json(row) for row in scored_rows]
    frozen = Frozen.read(stages["freeze"])
    causes = list(read_jsonl(stages["trace"] / "causes.jsonl"))
    artifact = artifact_folder(stages["train"], inputs.recipe.train.method)
    training = TrainingPart(
        **read_json(stages["train"] / "training.json"), artifact=str(artifact), parts=trainings_of(stages)
    )
    replayed = stages["train"] / "replay.jsonl"
    replay = list(read_jsonl(replayed)) if replayed.is_file() else []
    ledger = stages["freeze"] / "ledger.jsonl"
    counts = in_order(Counter(fate["fate"] for fate in chain(read_jsonl(ledger), replay)))
    data = _data(inputs, frozen, read_json(stages["check"] / "examination.json"), counts)
    write_asked(folder, chain.from_iterable(map(read_asked, stages.values())))
    report = Report(
        schema_="residency.report/1",
        run=folder.name,
        created=_created(folder / "report.json"),
        recipe=inputs.recipe.to_json(),
        base=BasePart(model=inputs.recipe.base.model, dtype=dtype, fingerprint=inputs.base),
        data=data,
        choices=[ChoicePart(**choice) for choice in read_json(stages["baselines"] / "choices.json")],
        instructions_unwritten=is_template(inputs.instructions),
        incomplete=incomplete_of(stages),
        paraphrases=_paraphrases(stages),
        training=training,
        causes=group_causes([TracedPart(**row) for row in causes]),
        tracing=_tracing(stages["trace"]),
        **weigh(rows, training, inputs.recipe, data, read_asked(folder))._asdict(),
    )
    write_jsonl(folder / "scored.jsonl", scored_rows)
    with ledger.open("rb") as of_task:
        write_lines(folder / "ledger.jsonl", chain(of_task, map(encode_row, replay)))
    write_jsonl(folder / "causes.jsonl", causes)
    write_text(folder / "report.html", render_html(report))
    write_json(folder / "report.json", report.to_json())
    return report


def incomplete_of(stages: Mapping[str, Path]) -> list[IncompletePart]:
    """Candidates behind an API that stopped at their cap."""
    if "remote" not in stages:
        return []
    return [IncompletePart(**part) for part in read_json(stages["remote"] / "incomplete.json")]


def _tracing(folder: Path) -> TracingPart | None:
    file = folder / "tracing.json"
    return TracingPart(**read_json(file)) if file.is_file() else None


def _paraphrases(stages: Mapping[str, Path]) -> ParaphrasesPart | None:
    if "paraphrases" not in stages:
        return None
    folder = stages["paraphrases"]
    return ParaphrasesPart(**read_json(folder / "made.json"), file=str(folder / "paraphrases.jsonl"))


def _data(inputs: Inputs, frozen: Frozen, examined: Mapping[str, Any], fates: Mapping[str, int]) -> DataPart:
    findings = [
        FindingPart(
            id=finding.id,
            severity=finding.severity,
            explanation=finding.explanation,
            rows=[str(flag) for flag in finding.rows],
            fix=finding.fix,
        )
        for finding in frozen.findings
    ]
    overlapping = [finding for finding in frozen.findings if finding.id == "leak"]
    files = [
        FilePart(file=name, role=role, sha256=inputs.hashes[role], rows=examined["rows"][role])
        for role, name in inputs.names.items()
    ]
    if general := sum(fates.values()) - sum(examined["rows"].values()):
        name = replay_file(inputs.recipe.train).name
        files.append(FilePart(file=name, role="replay", sha256=inputs.replay, rows=general))
    return DataPart(
        files=files,
        rows=sum(fates.values()),
        fates=dict(fates),
        findings=findings,
        test_hash=frozen.test_hash,
        overlap=sum(len(finding.rows) for finding in overlapping),
        leaks=frozen.leaks,
        ceiling=None if examined["ceiling"] is None else CeilingPart(**examined["ceiling"]),
    )


def _created(file: Path) -> str:
    if file.is_file():
        before: dict[str, Any] = read_json(file)
        return str(before["created"])
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
