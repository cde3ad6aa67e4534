"""The last stage: scored rows, curve and ledger become the run's report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from residency.core.workspace import read_json, read_jsonl, write_json, write_jsonl, write_text
from residency.data.ledger import count_fates
from residency.data.split import Frozen
from residency.evals.scored import Scored
from residency.models.artifact import artifact_folder
from residency.pipeline.inputs import Inputs
from residency.verdict.evidence import weigh
from residency.verdict.html import render_html
from residency.verdict.report_schema import (
    BasePart,
    CeilingPart,
    ChoicePart,
    DataPart,
    FilePart,
    FindingPart,
    IncompletePart,
    Report,
    TrainingPart,
)


def conclude(folder: Path, inputs: Inputs, dtype: str, stages: Mapping[str, Path]) -> Report:
    """Write `report.json`, `report.html`, `scored.jsonl` and `ledger.jsonl` into the run's `folder`.

    A report that is there already for the same stages keeps its date.
    """
    asked = [
        name for name in ("baselines", "remote", "compare", "suites-base", "suites-tuned") if name in stages
    ]
    scored_rows = [row for name in asked for row in read_jsonl(stages[name] / "scored.jsonl")]
    rows = [Scored.from_json(row) for row in scored_rows]
    frozen = Frozen.read(stages["freeze"])
    artifact = artifact_folder(stages["train"], inputs.recipe.train.method)
    training = TrainingPart(**read_json(stages["train"] / "training.json"), artifact=str(artifact))
    data = _data(inputs, frozen, read_json(stages["check"] / "examination.json"))
    report = Report(
        schema_="residency.report/1",
        run=folder.name,
        created=_created(folder / "report.json"),
        recipe=inputs.recipe.to_json(),
        base=BasePart(model=inputs.recipe.base.model, dtype=dtype, fingerprint=inputs.base),
        data=data,
        choices=[ChoicePart(**choice) for choice in read_json(stages["baselines"] / "choices.json")],
        incomplete=incomplete_of(stages),
        training=training,
        **weigh(rows, training.curve, inputs.recipe, data)._asdict(),
    )
    write_jsonl(folder / "scored.jsonl", scored_rows)
    write_jsonl(folder / "ledger.jsonl", (fate.to_json() for fate in frozen.fates))
    write_text(folder / "report.html", render_html(report))
    write_json(folder / "report.json", report.to_json())
    return report


def incomplete_of(stages: Mapping[str, Path]) -> list[IncompletePart]:
    """Candidates behind an API that stopped at their cap."""
    if "remote" not in stages:
        return []
    return [IncompletePart(**part) for part in read_json(stages["remote"] / "incomplete.json")]


def _data(inputs: Inputs, frozen: Frozen, examined: Mapping[str, Any]) -> DataPart:
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
    overlapping = [finding for finding in frozen.findings if finding.id == "test-overlap"]
    return DataPart(
        files=[
            FilePart(file=name, role=role, sha256=inputs.hashes[role], rows=examined["rows"][role])
            for role, name in inputs.names.items()
        ],
        rows=len(frozen.fates),
        fates=count_fates(frozen.fates),
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
