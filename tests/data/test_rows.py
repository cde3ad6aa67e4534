"""Rows that stand on the disk are the rows that were put there, and what is held of them is no text."""

import gc
import json
import random
import resource
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.core.recipe import Data, Split
from residency.core.records import Example, Message, Preference, Source, ToolCall
from residency.data import texts
from residency.data.check import examine
from residency.data.duplicates import wording, words
from residency.data.labels import labels_of
from residency.data.ledger import Checked, Fate
from residency.data.rows import Rows
from residency.data.split.freeze import freeze
from residency.data.texts import Block, Spool, Texts, as_bytes

TEXT = st.text('ab 5.\n"öÉ\u2028', max_size=12)
TURNS = st.lists(st.tuples(st.sampled_from(("user", "assistant", "tool")), TEXT), max_size=3)


@st.composite
def some_rows(draw: Any) -> list[Checked]:
    rows = []
    for number in range(draw(st.integers(0, 8))):
        system = (Message("system", draw(TEXT)),) if draw(st.booleans()) else ()
        turns = tuple(Message(role, text) for role, text in draw(TURNS))
        answer = Message(
            "assistant", draw(TEXT), (ToolCall("f", {"a": draw(TEXT)}),) * draw(st.integers(0, 1))
        )
        source = Source(draw(st.sampled_from(("a.jsonl", "b.jsonl"))), number)
        said, group = (*system, Message("user", draw(TEXT)), *turns, answer), draw(st.sampled_from(("", "g")))
        kinds = (
            Example(said, source, group=group),
            Preference(said, source, group=group, rejected=Message("assistant", draw(TEXT))),
            Example((Message("text", draw(TEXT)),), source),
        )
        rows.append(Checked(draw(st.sampled_from(kinds)), number + 3, number))
    return rows


@settings(deadline=None, max_examples=50)
@given(some_rows(), st.randoms())
def test_rows_are_those_that_were_put_there(given: list[Checked], chance: Any) -> None:
    order = [chance.randrange(len(given)) for _ in given]
    rows, taken = Rows.of(given), [given[place] for place in order]
    assert list(rows) == given and [rows[place] for place in range(len(given))] == given
    assert list(rows.take(np.array(order, np.int64))) == taken
    assert [json.loads(line) for line in rows.lines()] == [row.to_json() for row in given]
    assert list(rows.words) == [words(row.example) for row in given]
    assert list(rows.answers) == [row.example.answer for row in given]
    hashes = {"id": "id", "input_id": "input_id"}
    for column, name in hashes.items():
        told = [f"{number:016x}" for number in rows.table[column].tolist()]
        assert told == [getattr(row.example, name) for row in given]
    assert [f"{n:016x}" for n in rows.table["wording"].tolist()] == [wording(row.example) for row in given]
    assert [rows.fate(place, "train") for place in range(len(given))] == [Fate.of(r, "train") for r in given]
    answers = [row.example.answer for row in given]
    assert (labels_of(answers) is not None) == (rows.labels is not None)
    assert rows.labels in (None, [answer.strip() for answer in answers])


def test_rows_of_a_file_are_known_as_those_that_were_written(tmp_path: Path) -> None:
    told = [Message("user", "wöher\u2028\n?"), Message("assistant", "x")]
    rows = Rows.of(
        Checked(Example(tuple(told), Source(f"{i % 2}", i), group="g" * i), i, 1) for i in range(3)
    )
    (tmp_path / "rows.jsonl").write_bytes(b"".join(rows.in_clusters({1: "c"}).lines()))
    again = Rows.read(tmp_path / "rows.jsonl")
    assert [row.example.cluster for row in again] == ["", "c", ""]
    assert [again.source(place) for place in range(3)] == [rows.source(place) for place in range(3)]
    assert (again.table == rows.table).all() and list(again.words) == list(rows.words)
    assert again[1:] == again.take(np.array([1, 2])) != rows[1:]
    assert again[2] == rows[2]


def test_what_is_known_of_rows_that_were_read_does_not_stand_beside_them(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    told = Message("user", "a"), Message("assistant", "b")
    rows = Rows.of(Checked(Example(told, Source("f", i)), 1, 1) for i in range(3))
    (stage / "rows.jsonl").write_bytes(b"".join(rows.lines()))
    again = Rows.read(stage / "rows.jsonl")
    shutil.rmtree(stage)  # so that nothing can be written there
    assert (again.table == rows.table).all() and list(again.words) == list(rows.words)
    assert list(again) == list(rows)


def test_a_folder_that_takes_no_texts_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResidencyError, match=r"Writing failed[\s\S]*missing"):
        Spool(tmp_path / "missing")
    spool, (soft, hard) = Spool(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # as on a full disk
    try:
        with pytest.raises(ResidencyError, match=r"Writing failed") as raised:
            spool.add(Block.of([b"eleven bytes"]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.where == str(tmp_path)


def test_answers_are_looked_at_once() -> None:
    said = ["b", "a", "b", "", "a", "c"]
    rows = Rows.of(
        Checked(Example((Message("user", f"{i}"), Message("assistant", answer)), Source("f", i)), 1, 1)
        for i, answer in enumerate(said)
    )
    seen: list[str] = []

    def look(answer: str) -> str | None:
        seen.append(answer)
        return answer.upper() or None if answer != "c" else None

    assert rows.look_at_answers(look) == {0: "B", 1: "A", 2: "B", 4: "A"}
    assert seen == ["b", "a", "", "c"]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_texts_are_read_in_blocks_of_any_size(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_BLOCK", block)
    given = [as_bytes("ä" * (i % 5)) for i in range(40)]
    spool = Spool()
    spool.add(Block.of(given[:25]))
    spool.add(Block.of(given[25:]))
    found, order = spool.texts(), np.array([39, 0, 3, 3, 17])
    assert list(found) == [text.decode() for text in given]
    assert list(found.take(order)) == [given[place].decode() for place in order]
    assert list(found[3:6]) == list(found)[3:6] and found[-1] == "ä" * 4


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"one\n\nthree\xc3\xb6\n")
    assert list(Texts.lines(file)) == ["one", "", "threeö"]
    file.write_bytes(b"")
    assert list(Texts.lines(file)) == []


@pytest.mark.parametrize("left", ["", '{"messages": '])
def test_a_file_that_was_cut_off_is_told(tmp_path: Path, left: str) -> None:
    file = tmp_path / "train.jsonl"
    told = Message("user", "a"), Message("assistant", "b")
    rows = Rows.of(Checked(Example(told, Source("f", i)), 1, 1) for i in range(3))
    whole = b"".join(rows.lines())
    file.write_bytes(whole)
    assert len(Rows.read(file)) == 3
    file.write_bytes(whole + left.encode() if left else whole[:-1])
    with pytest.raises(ResidencyError, match=r"is damaged.*no end[\s\S]*train.jsonl[\s\S]*Delete the folder"):
        Rows.read(file)


def test_texts_that_are_one_object_stand_there_once() -> None:
    same = b"label"
    assert Block.of([same, b"other", same]).content == b"labelother"


def held(folder: Path, renderer: Any, length: int) -> int:
    """Bytes that an examination and a split of 100 rows hold, whose texts are of that length."""
    file, chance = folder / f"{length}.jsonl", random.Random(0)
    with file.open("w") as out:
        for i in range(100):
            asked = f"question {i} " + "".join(chance.choices("abcdefghijkl ", k=length))
            out.write(json.dumps({"input": asked, "output": f"answer {i} " + "x" * length}) + "\n")
    data = Data(train=file, max_tokens=8192)
    gc.collect()
    tracemalloc.start()
    examination = examine(data, "", renderer)
    frozen = freeze(examination, Split())
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(frozen.train) + len(frozen.validation) + len(frozen.test) == 100
    return kept


def test_what_is_held_of_rows_does_not_grow_with_their_texts(tmp_path: Path, renderer: Any) -> None:
    """Texts of 2,000 characters more would be 400 kB; of a few rows caches may hold them."""
    held(tmp_path, renderer, 400)  # what is loaded once
    short, long = held(tmp_path, renderer, 401), held(tmp_path, renderer, 2401)
    assert long - short < 100_000
