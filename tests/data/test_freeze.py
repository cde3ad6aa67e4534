import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.core.recipe import Data, Split
from residency.core.records import Example, Message, Source
from residency.data.check import Examination, examine
from residency.data.duplicates import wording
from residency.data.findings import Finding
from residency.data.ledger import Checked, Fate
from residency.data.rows import Rows
from residency.data.split.freeze import Frozen, freeze
from residency.data.split.sides import Bonds, in_clusters, place
from residency.data.twins.find import Twins, find_twins
from residency.data.twins.leaks import find_leaks


def row(ask: str, number: int, tell: str = "yes", file: str = "train.jsonl") -> Checked:
    return Checked(Example((Message("user", ask), Message("assistant", tell)), Source(file, number)), 3, 1)


def rows(count: int, file: str = "train.jsonl", word: str = "question") -> list[Checked]:
    return [row(f"{word} {i}", i, file=file) for i in range(1, count + 1)]


def examined(train: list[Checked], **own: list[Checked]) -> Examination:
    files = {"train": train, "validation": [], "test": [], **own}
    kept = {name: Rows.of(kept) for name, kept in files.items()}
    return Examination(kept, (), (), {name: len(kept) for name, kept in files.items() if kept})


def placed(rows: list[Checked], **wanted: int) -> dict[str, Rows]:
    return place(Rows.of(rows), wanted, 0, Bonds())[0]


def sides(frozen: Frozen) -> tuple[int, int, int]:
    return len(frozen.train), len(frozen.validation), len(frozen.test)


@pytest.mark.parametrize(
    ("test", "validation", "expected"),
    [(0.15, 0.1, (75, 10, 15)), (20, 0.1, (70, 10, 20)), (7, 3, (90, 3, 7)), (0.333, 5, (62, 5, 33))],
)
def test_as_many_rows_as_wanted(test: float, validation: float, expected: tuple[int, int, int]) -> None:
    split = Split(test=test, validation=validation)
    assert sides(freeze(examined(rows(100)), split)) == expected


def test_the_draw_depends_on_the_seed_alone() -> None:
    one, again, other = (freeze(examined(rows(100)), Split(seed=seed)).test_hash for seed in (0, 0, 1))
    assert one == again != other


def test_the_order_of_rows_does_not_matter() -> None:
    forwards = freeze(examined(rows(100)), Split())
    backwards = freeze(examined(rows(100)[::-1]), Split())
    assert forwards.test_hash == backwards.test_hash


def test_rows_added_move_few_of_the_others() -> None:
    """150 and 100 rows are held out of 1,000; 20 more rows move the two borders by a few places."""
    before, after = (placed(rows(n), test=round(0.15 * n), validation=round(0.1 * n)) for n in (1000, 1020))
    side_of = {kept.example.id: side for side, members in after.items() for kept in members}
    moved = sum(side_of[kept.example.id] != side for side, members in before.items() for kept in members)
    assert moved <= 20


def test_rows_that_ask_the_same_stay_together() -> None:
    """Groups of 3: the nearest that groups permit to 10 and 5 rows is 9 and 3."""
    asked = [
        row(ask.format(i), 3 * i + k, str(k))
        for i in range(30)
        for k, ask in enumerate(("q {}", "Q {}!", "q {}"))
    ]
    drawn = placed(asked, test=10, validation=5)
    assert {side: len(members) for side, members in drawn.items()} == {
        "train": 78,
        "validation": 3,
        "test": 9,
    }
    for members in drawn.values():
        assert set(Counter(wording(member.example) for member in members).values()) == {3}


def test_a_group_too_large_to_hold_out_is_trained_on() -> None:
    drawn = placed([*(row("same", i) for i in range(40)), *rows(20)], test=10, validation=5)
    assert {side: len(members) for side, members in drawn.items()} == {
        "train": 45,
        "validation": 5,
        "test": 10,
    }


def test_rows_keep_their_order() -> None:
    frozen = freeze(examined(rows(100)), Split())
    for members in (frozen.train, frozen.validation, frozen.test):
        numbers = [member.example.source.row for member in members]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("count", "split", "side"),
    [
        (11, Split(test=2, validation=2), "train"),
        (50, Split(test=1, validation=2), "test"),
        (50, Split(test=2, validation=0.01), "validation"),
        (50, Split(test=500, validation=2), "train"),
    ],
)
def test_too_few_rows_on_a_side(count: int, split: Split, side: str) -> None:
    with pytest.raises(ResidencyError, match=f"left for {side}"):
        freeze(examined(rows(count)), split)


def test_test_rows_that_are_no_independent_evidence_share_a_cluster() -> None:
    asked = ("where is my new card", "where is my new card?", "where is my old card", "is it open", "a loan")
    test = [row(text, number) for number, text in enumerate(asked)]
    one, other = sorted(wording(test[place].example) for place in (0, 2))
    clusters = [member.example.cluster for member in in_clusters(Rows.of(test), (Twins(one, other, 0.8),))]
    assert clusters == [one] * 3 + ["", ""]
    frozen = freeze(replace(examined(rows(100), test=test), twins=(Twins(one, other, 0.8),)), Split())
    assert [member.example.cluster for member in frozen.test] == clusters
    assert [Checked.from_json(member.to_json()).example.cluster for member in frozen.test] == clusters


def test_own_files_are_taken_whole() -> None:
    test, validation = rows(7, "test.jsonl", "exam"), rows(5, "validation.jsonl", "trial")
    frozen = freeze(examined(rows(20), test=test, validation=validation), Split())
    assert sides(frozen) == (20, 5, 7)
    assert frozen.ledger.counts()["test"] == 7


def test_an_own_test_that_overlaps_is_refused_with_the_rows_named() -> None:
    test = [*rows(7, "test.jsonl"), row("new", 8, file="test.jsonl")]
    examination = examined(rows(30), test=test)
    with pytest.raises(ResidencyError) as raised:
        freeze(examination, Split())
    assert raised.value.what.startswith("7 test rows stand word for word")
    assert (
        raised.value.where
        == ", ".join(f"test.jsonl:{i} = train.jsonl:{i}" for i in range(1, 6)) + " and 2 more"
    )
    assert "split.allow_overlap=true" in raised.value.fix
    frozen = freeze(examination, Split(allow_overlap=True))
    (finding,) = frozen.findings
    assert (finding.id, finding.severity) == ("leak", "warning")
    assert [str(source) for source in finding.rows] == [f"test.jsonl:{i}" for i in range(1, 8)]
    assert len(frozen.test) == 8


def test_a_drawn_test_may_not_overlap_with_an_own_validation_file() -> None:
    examination = examined(rows(40), validation=rows(40, "validation.jsonl"))
    with pytest.raises(ResidencyError, match="stand word for word"):
        freeze(examination, Split())


def test_an_own_validation_file_that_overlaps_is_told() -> None:
    examination = examined(rows(40), test=rows(5, "t", "exam"), validation=rows(3, "validation.jsonl"))
    (finding,) = freeze(examination, Split()).findings
    assert finding.id == "validation-leak" and len(finding.rows) == 3


def test_a_leak_pairs_a_test_row_with_the_first_that_asks_the_same() -> None:
    train = [row("a", 1), row("b", 2, "x"), row("B", 3, "y")]
    test = [row("b", 1, "z"), row("c", 2), row("B!", 3)]
    leaks = find_leaks([Rows.of(train)], Rows.of(test), ())
    assert leaks == [(i, test[i].example.source, train[1].example.source, 1, True) for i in (0, 2)]


SENTENCES = [" ".join(f"{word}{i}" for word in ("where", "is", "my", "order", "today")) for i in range(30)]
"""No two have the same numbers, so that none are near."""


def with_twins() -> Examination:
    """Three rows of the test have twins: one in the same words, two nearly so."""
    train = [row(ask, i) for i, ask in enumerate(SENTENCES, 1)]
    test = [
        row(SENTENCES[0].upper(), 1, file="test.jsonl"),
        row(f"{SENTENCES[4]} please", 2, file="test.jsonl"),
        row(f"and {SENTENCES[9]}", 3, file="test.jsonl"),
        row("something else", 4, file="test.jsonl"),
    ]
    return replace(examined(train, test=test), twins=find_twins(Rows.of([*train, *test]), 0.7))


def test_leaks_count_exact_and_near_twins() -> None:
    frozen = freeze(with_twins(), Split(allow_overlap=True))
    exact, near = frozen.findings
    assert frozen.leaks == 3
    assert (exact.id, [flag.source.row for flag in exact.rows]) == ("leak", [1])
    assert (near.id, near.severity) == ("near-leak", "warning")
    assert [(flag.source.row, flag.other) for flag in near.rows] == [
        (2, Source("train.jsonl", 5)),
        (3, Source("train.jsonl", 10)),
    ]


def test_twins_of_test_rows_can_be_left_out_of_training() -> None:
    frozen = freeze(with_twins(), Split(drop_twins=True))
    assert (frozen.leaks, frozen.findings, len(frozen.test)) == (0, (), 4)
    twins = {fate.source.row: fate.detail for fate in frozen.ledger if fate.fate == "twin"}
    assert list(twins) == [1, 5, 10]
    assert twins[1] == "same words as test.jsonl:1"
    assert twins[5].endswith("% similar to test.jsonl:2")
    trained = {kept.example.source.row for kept in (*frozen.train, *frozen.validation)}
    assert trained == set(range(1, 31)) - {1, 5, 10}


def test_near_twins_are_drawn_to_one_side() -> None:
    asked = [
        row(f"{ask}{end}", 2 * i + k) for i, ask in enumerate(SENTENCES) for k, end in enumerate(("", " now"))
    ]
    frozen = freeze(replace(examined(asked), twins=find_twins(Rows.of(asked), 0.7)), Split())
    assert (sides(frozen), frozen.leaks) == ((46, 6, 8), 0)


def test_the_test_hash_is_of_content_and_not_of_place() -> None:
    here, there = ([*rows(5, file)] for file in ("a", "b"))
    train = rows(20, word="other")
    hashes = {freeze(examined(train, test=test), Split()).test_hash for test in (here, there[::-1])}
    assert len(hashes) == 1
    changed = [*here[:4], row("question 5", 5, "no")]
    assert freeze(examined(train, test=changed), Split()).test_hash not in hashes


def test_a_split_can_be_written_and_read_and_the_test_is_locked(tmp_path: Path) -> None:
    note = Finding("unused-columns", "note", "Columns that were not used: id.", (), "None needed.")
    lost = Fate(Source("train.jsonl", 21), "refused", "no assistant turn")
    examination = replace(examined(rows(20), test=rows(3, "test.jsonl")), findings=(note,), fates=(lost,))
    frozen = freeze(examination, Split(allow_overlap=True))
    frozen.write(tmp_path)
    assert Frozen.read(tmp_path) == frozen
    assert lost in list(frozen.ledger) and frozen.findings[0] == note
    kept = (tmp_path / "test.jsonl").read_text().splitlines()
    (tmp_path / "test.jsonl").write_text("\n".join(kept[1:]) + "\n")
    with pytest.raises(ResidencyError, match="not those that were frozen"):
        Frozen.read(tmp_path)


LINES = st.one_of(
    st.builds(
        lambda ask, tell: json.dumps({"input": ask, "output": tell}).encode(),
        st.sampled_from(["a", "A!", "b", "c", "c ", "d", "e <|end|>", "", "word " * 20])
        | st.text(max_size=8),
        st.sampled_from(["x", "y", "mute", " "]),
    ),
    st.sampled_from(
        [b"{", b"[]", b"\xff", b"\x00", b'{"messages": []}', b'{"input": null, "output": "x"}', b""]
    ),
    st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")),
)


@settings(deadline=None)
@given(st.lists(LINES, max_size=60), st.booleans(), st.integers(0, 3))
def test_fates_sum_to_rows_and_no_input_is_on_two_sides(
    renderer: Any, lines: list[bytes], keep: bool, seed: int
) -> None:
    """Twenty good rows let every draw succeed; what is around them may be anything."""
    good = [json.dumps({"input": f"question {i}", "output": "x"}).encode() for i in range(20)]
    lines = [*good, *lines]
    nonblank = sum(bool(line.strip(b" \t\r\n")) for line in lines)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "train.jsonl"
        file.write_bytes(b"\n".join(lines))
        policy = "keep" if keep else "drop"
        data = Data(train=file, max_tokens=16, max_refused=1.0, duplicates=policy, conflicts=policy)
        examination = examine(data, "", renderer)
    frozen = freeze(examination, Split(test=4, validation=3, seed=seed))
    assert examination.rows == {"train": nonblank}
    assert sum(frozen.ledger.counts().values()) == nonblank
    assert len({fate.source for fate in frozen.ledger}) == nonblank
    assert frozen.ledger.counts()["test"] == len(frozen.test)
    inputs = [
        {kept.example.input_id for kept in side} for side in (frozen.train, frozen.validation, frozen.test)
    ]
    assert sum(map(len, inputs)) == len(set.union(*inputs))
