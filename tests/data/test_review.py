import json
from pathlib import Path

import pytest

from residency.core.errors import ResidencyError
from residency.core.records import Source
from residency.data.findings import Finding, Flag
from residency.data.mending.review import (
    Decision,
    Suspect,
    add_decision,
    decisions_file,
    queue,
    read_decisions,
)

A, B, C = (Source("f.jsonl", row) for row in (1, 2, 3))


def finding(check: str, *flags: Flag) -> Finding:
    return Finding(check, "warning", "what", flags, "fix")


def test_flags_on_a_row_are_combined_and_the_most_suspected_comes_first():
    findings = [
        finding("one", Flag(A, "x", suspicion=0.5), Flag(B, suspicion=0.6)),
        finding("two", Flag(A, suspicion=0.4, other=C), Flag(C, suspicion=0.6)),
        finding("duplicate", Flag(C, suspicion=0.9)),
    ]
    first, second, third = queue(findings, {A: "a", B: "b", C: "c"})
    assert (first.source, first.example_id) == (A, "a")
    assert first.suspicion == pytest.approx(0.7)  # 1 - 0.5 * 0.6
    assert [(r.check, r.detail, r.other) for r in first.reasons] == [("one", "x", None), ("two", "", C)]
    assert (second.source, third.source) == (B, C)
    assert third.suspicion == pytest.approx(0.6)
    assert Suspect.from_json(first.to_json()) == first


def test_what_must_not_be_shown_is_not_in_the_reasons():
    (suspect,) = queue([finding("label-error", Flag(A, "labelled ann.lee@example.org"))], {A: "a"})
    assert suspect.to_json()["reasons"][0]["detail"] == "labelled [EMAIL]"


def test_rows_without_an_example_are_not_asked_about():
    assert queue([finding("one", Flag(A), Flag(B))], {B: "b"})[0].source == B


def test_the_last_decision_on_an_example_counts(tmp_path: Path):
    file = decisions_file(tmp_path / "train.csv")
    assert file.name == "train.decisions.jsonl" == decisions_file(tmp_path / "train.fixed.jsonl").name
    assert read_decisions(file) == {}
    drop, edit = Decision(A, "x", "drop", None, None, "judged"), Decision(B, "x", "edit", "b", "y", "judged")
    for decision in (drop, edit):
        add_decision(file, decision)
    assert read_decisions(file) == {"x": edit}
    line = file.read_text().splitlines()[1]
    assert json.loads(line) == {
        "file": "f.jsonl",
        "row": 2,
        "example_id": "x",
        "action": "edit",
        "answer": "b",
        "becomes": "y",
        "why": "judged",
    }


@pytest.mark.parametrize("broken", [lambda line: line[:20], lambda line: "[1]", lambda line: '{"row": 1}'])
def test_a_decision_half_written_or_edited_is_told_with_its_line(tmp_path: Path, broken):
    file = tmp_path / "train.decisions.jsonl"
    add_decision(file, Decision(A, "x", "drop", None, None, "judged"))
    line = file.read_text()
    file.write_text(line + broken(line))
    with pytest.raises(ResidencyError, match=r"no decision[\s\S]*train.decisions.jsonl:2"):
        read_decisions(file)
    for other in ('"delete"', '"edit"'):  # an edit needs an answer
        file.write_text(line.replace('"drop"', other))
        with pytest.raises(ResidencyError, match="no decision"):
            read_decisions(file)
