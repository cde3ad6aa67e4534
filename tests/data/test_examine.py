import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from residency.core.errors import ResidencyError
from residency.core.recipe import Data, Split
from residency.core.records import Message, Preference
from residency.data import usable
from residency.data.check import Examination, examine
from residency.data.split.freeze import freeze
from residency.data.split.lock import Locked

GOOD = [{"input": f"question {i}", "output": "yes"} for i in range(20)]


def write(folder: Path, rows: list[Any], name: str = "train.jsonl") -> Path:
    file = folder / name
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def check(folder: Path, rows: list[Any], renderer: Any, system: str = "", **data: Any) -> Examination:
    return examine(Data(**{"train": write(folder, rows), "max_refused": 0.5, **data}), system, renderer)


def found(examination: Examination) -> dict[str, list[int]]:
    return {finding.id: [flag.source.row for flag in finding.rows] for finding in examination.findings}


def test_clean_rows_are_kept_with_their_tokens(tmp_path: Path, renderer: Any) -> None:
    examination = check(tmp_path, GOOD, renderer, system="Answer me.")
    first = examination.examples["train"][0]
    assert (first.tokens, first.supervised_tokens) == (5, 1)
    assert len(examination.examples["train"]) == 20
    assert not examination.examples["test"] and not examination.examples["validation"]
    assert examination.rows == {"train": 20}
    assert examination.fates == examination.findings == ()


def test_every_bad_row_has_its_fate_and_its_finding(tmp_path: Path, renderer: Any) -> None:
    bad = [
        "{broken",
        {"messages": [{"role": "user", "content": "hi"}]},
        {"input": "see <|end|>", "output": "x"},
        {"input": "say nothing", "output": "mute"},
        {"input": "one two three", "output": "four five " * 10},
        {"input": "word " * 16, "output": "x"},
        {"messages": [{"role": role, "content": role} for role in ("user", "user", "assistant")]},
    ]
    examination = check(tmp_path, [*bad, *GOOD], renderer, max_tokens=16)
    assert found(examination) == {
        "malformed": [1],
        "roles": [2],
        "special-token": [3],
        "zero-supervised": [4],
        "over-long": [5, 6],
        "template": [7],
        "mixed-shapes": [],
    }
    assert {finding.severity for finding in examination.findings[:-1]} == {"error"}
    details = {fate.source.row: (fate.fate, fate.detail) for fate in examination.fates}
    assert details[2] == ("refused", "no assistant turn")
    assert details[5] == ("over-long", "over-long by 7 tokens")
    cut = "over-long by 1 token: the prompt alone has 16, so that the answer would be cut away entirely"
    assert details[6] == ("over-long", cut)
    assert details[7] == ("refused", "The template refuses two user turns in a row.")
    assert [fate.tokens for fate in examination.fates if fate.fate == "over-long"] == [23, 17]
    assert len(examination.examples["train"]) == 20


SAME = [
    {"input": "a", "output": "1"},
    {"input": "b", "output": "1"},
    {"input": "a", "output": "1"},
    {"input": "b", "output": "2"},
    {"input": "B.", "output": "1"},
    {"input": "A?", "output": "1"},
]


def test_duplicates_and_conflicts_are_dropped(tmp_path: Path, renderer: Any) -> None:
    examination = check(tmp_path, SAME, renderer)
    fates = {fate.source.row: (fate.fate, fate.detail) for fate in examination.fates}
    assert fates == {
        2: ("conflict", "conflict with train.jsonl:4"),
        3: ("duplicate", "duplicate of train.jsonl:1"),
        4: ("conflict", "conflict with train.jsonl:2"),
    }
    assert [row.example.source.row for row in examination.examples["train"]] == [1, 5, 6]
    assert found(examination) == {"duplicate": [3], "conflict": [2, 4], "near-duplicate": [6]}


def test_duplicates_and_conflicts_are_kept(tmp_path: Path, renderer: Any) -> None:
    examination = check(tmp_path, SAME, renderer, duplicates="keep", conflicts="keep")
    assert len(examination.examples["train"]) == 6
    assert examination.fates == ()
    assert found(examination) == {
        "duplicate": [3],
        "conflict": [2, 4],
        "near-duplicate": [5, 6],
        "near-conflict": [4, 5],
    }


def test_files_are_compared_each_within_itself(tmp_path: Path, renderer: Any) -> None:
    test = write(tmp_path, [GOOD[0], GOOD[0], {"input": "question 1", "output": "no"}], "test.jsonl")
    examination = check(tmp_path, GOOD, renderer, test=test)
    assert found(examination) == {"duplicate": [2]}
    assert [str(fate.source) for fate in examination.fates] == ["test.jsonl:2"]
    assert len(examination.examples["test"]) == 2
    assert examination.rows == {"train": 20, "test": 3}


NEAR = [
    {"input": "I am still waiting for my new card", "output": "arrival"},
    {"input": "I am still waiting for my new cards", "output": "delivery"},
    {"input": "I am still waiting for my new card, today", "output": "arrival"},
    {"input": "I am still waiting for my 2 new cards", "output": "arrival"},
]


def test_near_duplicates_name_the_most_similar_earlier_row(tmp_path: Path, renderer: Any) -> None:
    """Rows 1 to 3 have 34, 35 and 40 shingles; 2 shares 33 with 1, and 3 all 34: 33/36 and 34/40."""
    examination = check(tmp_path, [*NEAR, *GOOD], renderer)
    near, conflict = (finding for finding in examination.findings if finding.id.startswith("near"))
    assert (near.id, near.severity) == ("near-duplicate", "warning")
    assert [(flag.source.row, flag.other and flag.other.row, flag.detail) for flag in near.rows] == [
        (2, 1, "92 % similar"),
        (3, 1, "85 % similar"),
    ]
    assert len(examination.examples["train"]) == 24
    assert len(examination.twins) == len({twins[:2] for twins in examination.twins})


def test_inputs_in_the_same_words_are_near_duplicates_told_once_each(tmp_path: Path, renderer: Any) -> None:
    rows = [{"input": ask, "output": "x"} for ask in ("Hi", "hi!", "Hi", "bye", " HI ", "hi!")]
    examination = check(tmp_path, rows, renderer, duplicates="keep", near=1)
    near = next(finding for finding in examination.findings if finding.id == "near-duplicate")
    assert [(flag.source.row, flag.other and flag.other.row, flag.detail) for flag in near.rows] == [
        (2, 1, "in the same words"),
        (5, 1, "in the same words"),
    ]


def test_near_conflicts_are_suspected_by_their_similarity(tmp_path: Path, renderer: Any) -> None:
    same = [{"input": "Where is it?", "output": "here"}, {"input": "where is it", "output": "There"}]
    examination = check(tmp_path, [*NEAR, *same, *GOOD], renderer)
    flags = next(finding.rows for finding in examination.findings if finding.id == "near-conflict")
    assert [(flag.source.row, flag.other and flag.other.row) for flag in flags][:2] == [(1, 2), (2, 1)]
    assert [(flag.source.row, flag.suspicion) for flag in flags][-2:] == [(5, 0.9), (6, 0.9)]
    assert 0.7 < flags[0].suspicion < 0.9


def test_plain_texts_may_be_near_but_not_contradict_each_other(tmp_path: Path, renderer: Any) -> None:
    texts = [{"text": line["input"]} for line in NEAR]
    ids = found(check(tmp_path, [*texts, *GOOD], renderer))
    assert "near-duplicate" in ids and "near-conflict" not in ids


def test_no_near_duplicates_are_looked_for_at_a_threshold_of_one(tmp_path: Path, renderer: Any) -> None:
    assert (
        not {"near-duplicate", "near-conflict"}
        & found(check(tmp_path, [*NEAR, *GOOD], renderer, near=1)).keys()
    )


def test_a_row_has_the_group_that_its_column_says(tmp_path: Path, renderer: Any) -> None:
    customers = [{**line, "customer": place // 2} for place, line in enumerate(GOOD)]
    rows = [*customers[:18], {**GOOD[18], "customer": None}, GOOD[19]]
    examination = examine(Data(train=write(tmp_path, rows)), "", renderer, "customer")
    kept = [row.example for row in examination.examples["train"]]
    assert [example.group for example in kept] == [str(i // 2) for i in range(18)] + [""]
    assert found(examination) == {"columns": [20]}
    assert kept[0].id == replace(kept[0], group="").id
    assert type(kept[0]).from_json(kept[0].to_json()).group == "0"


def test_answers_rated_bad_are_left_out_and_are_no_mistakes(tmp_path: Path, renderer: Any) -> None:
    rows = [{"prompt": f"question {i}", "completion": "yes", "label": i % 2 == 0} for i in range(20)]
    examination = check(tmp_path, rows, renderer, max_refused=0)
    assert [row.example.source.row for row in examination.examples["train"]] == [*range(1, 20, 2)]
    assert {fate.detail for fate in examination.fates} == {"rated bad: sft learns only from good answers"}
    assert len(examination.fates) == 10
    (note,) = examination.findings
    assert (note.id, note.severity, len(note.rows)) == ("rated-bad", "note", 10)
    with pytest.raises(ResidencyError, match="None of 10 rows can be used: train.jsonl:1 rated bad"):
        check(tmp_path, rows[1::2], renderer)


def test_both_answers_of_a_preference_stay_on_record(tmp_path: Path, renderer: Any) -> None:
    rows = [{"prompt": f"question {i}", "chosen": "yes", "rejected": "no way"} for i in range(3)]
    examination = check(tmp_path, [*rows, {**rows[0], "rejected": "yes"}], renderer)
    first = examination.examples["train"][0]
    assert (first.example.answer, first.tokens, first.supervised_tokens) == ("yes", 3, 1)
    assert found(examination) == {"preference": [4], "preferences": []}
    assert "3 rows are a choice between two answers" in examination.findings[1].explanation
    folder = tmp_path / "stage"
    folder.mkdir()
    examination.write(folder)
    again = Examination.read(folder).examples["train"][0].example
    assert isinstance(again, Preference)
    assert again.rejected == Message("assistant", "no way")


def test_plain_texts_do_not_contradict_each_other(tmp_path: Path, renderer: Any) -> None:
    texts = ["one two", "three", "One two!", "three"]
    examination = check(tmp_path, [{"text": text} for text in texts], renderer, system="Answer me.")
    assert [row.example.answer for row in examination.examples["train"]] == ["one two", "three", "One two!"]
    assert examination.examples["train"][0].tokens == 2
    assert found(examination) == {"duplicate": [4], "near-duplicate": [3]}
    long = check(tmp_path, [{"text": "word " * 17}, *GOOD], renderer, max_tokens=16)
    assert [fate.detail for fate in long.fates] == ["over-long by 1 token"]


def test_shapes_are_mixed_row_by_row(tmp_path: Path, renderer: Any) -> None:
    turns = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "tell"}]
    examination = check(tmp_path, [{"messages": turns}, *GOOD[:2], {"text": "once"}], renderer)
    assert len(examination.examples["train"]) == 4
    (note,) = examination.findings
    counts = "train.jsonl: 2 input and answer, 1 messages, 1 plain text"
    assert (note.severity, note.explanation) == ("note", f"Rows of several shapes: {counts}.")


def test_unused_columns_are_noted(tmp_path: Path, renderer: Any) -> None:
    examination = check(tmp_path, [GOOD[0], {**GOOD[1], "id": 7, "instruction": None}], renderer)
    (note,) = examination.findings
    assert (note.id, note.severity, note.rows) == ("unused-columns", "note", ())
    assert "train.jsonl: id" in note.explanation


def test_too_many_refused_rows_stop_training_and_not_the_check(tmp_path: Path, renderer: Any) -> None:
    rows = [{"input": "", "output": "x"}] * 4 + GOOD
    examination = check(tmp_path, rows, renderer, max_refused=0.16)
    assert len(examination.fates) == 4
    (stop,) = examination.stops
    assert stop.what == (
        "4 of 24 rows cannot be used, more than data.max_refused = 0.16 allows: train.jsonl:1 empty input; "
        "train.jsonl:2 empty input; train.jsonl:3 empty input."
    )
    assert "--set data.max_refused=0.17" in stop.fix
    assert check(tmp_path, rows, renderer, max_refused=0.17).stops == ()


def test_the_share_refused_is_compared_without_rounding(tmp_path: Path, renderer: Any) -> None:
    """0.29 * 100 is 28.999999999999996 in floating point."""
    rows = [{"input": "", "output": "x"}] * 29 + [{"input": f"{i}", "output": "x"} for i in range(71)]
    assert check(tmp_path, rows, renderer, max_refused=0.29).stops == ()


def test_a_row_of_just_max_tokens_is_kept(tmp_path: Path, renderer: Any) -> None:
    rows = [{"input": "word " * 15, "output": "x"}, {"input": "word " * 15, "output": "x y"}]
    examination = check(tmp_path, rows, renderer, max_tokens=16)
    assert [row.example.source.row for row in examination.examples["train"]] == [1]


def test_rows_are_measured_in_batches(tmp_path: Path, renderer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usable, "BATCH", 3)
    rows = [{"input": "one " * (i + 1), "output": "x"} for i in range(7)]
    kept = check(tmp_path, rows, renderer).examples["train"]
    assert [(row.example.source.row, row.tokens) for row in kept] == [(i, i + 1) for i in range(1, 8)]


def test_no_usable_row_names_the_columns(tmp_path: Path, renderer: Any) -> None:
    with pytest.raises(ResidencyError) as raised:
        check(tmp_path, [{"text": "a", "category": "b"}], renderer, max_refused=1.0)
    assert "the columns are: text, category" in raised.value.what
    assert "--set data.input=" in raised.value.fix


def test_a_system_prompt_with_structure_in_it(tmp_path: Path, renderer: Any) -> None:
    with pytest.raises(ResidencyError) as raised:
        check(tmp_path, GOOD, renderer, system="Stop at <|end|>")
    assert raised.value.where == "task.system"


def test_an_examination_can_be_written_and_read(tmp_path: Path, renderer: Any) -> None:
    odd = {"input": "caf\u00e9 \u2028 x", "output": "y", "id": 1}
    examination = check(tmp_path, ["{broken", *SAME, odd], renderer)
    folder = tmp_path / "stage"
    folder.mkdir()
    examination.write(folder)
    assert Examination.read(folder) == examination


def test_rows_and_texts_stand_in_the_folder_that_is_given(
    tmp_path: Path, renderer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own may be in memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    examination = examine(Data(train=write(tmp_path, GOOD)), "", renderer, folder=tmp_path)
    examination.write(tmp_path)
    with pytest.raises(ResidencyError, match="missing"):
        Examination.read(tmp_path)
    again, gone = Examination.read(tmp_path, tmp_path), Locked("user another question", "test")
    frozen = freeze(again, Split(test=4, validation=3), locked=[gone], folder=tmp_path)
    assert len(frozen.test) == 4


def test_the_ceiling_counts_the_rows_that_are_left_out(tmp_path: Path, renderer: Any) -> None:
    """30 inputs have two answers, and are gone from the rows kept; 30 have one: 60 of 90 can be right."""
    rows = [{"input": f"question {i}", "output": "yes"} for i in range(60)]
    again = [{**row, "output": "no"} for row in rows[:30]]
    examination = check(tmp_path, [*rows, *again], renderer)
    assert len(examination.examples["train"]) == 30
    assert examination.ceiling is not None
    assert examination.ceiling.value == pytest.approx(60 / 90)
    examination.write(tmp_path)
    assert Examination.read(tmp_path) == examination


@pytest.mark.skipif("RESIDENCY_BENCH_DATA" not in os.environ, reason="needs the folder with banking77")
def test_banking77(renderer: Any) -> None:
    """31 training rows repeat an earlier one's words, 25 test rows stand in the training file."""
    folder = Path(os.environ["RESIDENCY_BENCH_DATA"]) / "banking77"
    data = Data(train=folder / "train.csv", test=folder / "test.csv", input="text", output="category")
    examination = examine(data, "", renderer)
    assert examination.rows == {"train": 10003, "test": 3080}
    near = next(finding for finding in examination.findings if finding.id == "near-duplicate")
    same = [flag for flag in near.rows if flag.detail == "in the same words"]
    assert sum(flag.source.file == "train.csv" for flag in same) == 31
    with pytest.raises(ResidencyError, match="25 test rows"):
        freeze(examination, Split())
    frozen = freeze(examination, Split(allow_overlap=True))
    overlap = next(finding for finding in frozen.findings if finding.id == "leak")
    assert len(overlap.rows) == 25
    near = next(finding for finding in frozen.findings if finding.id == "near-leak")
    assert len(near.rows) >= 250
    assert frozen.leaks == 25 + len(near.rows)
    assert sum(frozen.ledger.counts().values()) == 13083
