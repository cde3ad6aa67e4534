"""What is on a side stays there: rows added, edited or removed move no other row across."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.core.recipe import Split
from residency.core.records import Example, Message, Source
from residency.core.workspace import write_lines
from residency.data.check import Examination
from residency.data.duplicates import wording, words
from residency.data.ledger import Checked
from residency.data.rows import Rows
from residency.data.split.freeze import LEAST, Frozen, freeze
from residency.data.split.lock import LOCKED, Lock, Locked
from residency.data.split.sides import Bonds, Hold, place
from residency.data.twins.find import Twins, find_twins

SIDES = ("train", "validation", "test")


def question(seed: int) -> str:
    """Eight words of random letters: no two questions are alike."""
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnop", k=5)) for _ in range(8))


def row(ask: str, number: int, tell: str = "yes", group: str = "") -> Checked:
    turns = (Message("user", ask), Message("assistant", tell))
    return Checked(Example(turns, Source("train.jsonl", number), group=group), 3, 1)


ROWS = [row(question(i), i) for i in range(30)]


def frozen(rows: Sequence[Checked], locked: list[Locked]) -> tuple[Frozen, list[Locked]]:
    """The split, and the lock after it."""
    kept = {"train": Rows.of(rows), "validation": Rows.of(()), "test": Rows.of(())}
    examination = Examination(kept, (), (), {"train": len(rows)}, find_twins(kept["train"], 0.8))
    split = freeze(examination, Split(test=6, validation=4), locked=locked)
    return split, [*locked, *split.new]


def numbers(split: Frozen) -> dict[str, list[int]]:
    sides = zip(SIDES, (split.train, split.validation, split.test), strict=True)
    return {side: [kept.example.source.row for kept in rows] for side, rows in sides}


def text(kept: Checked) -> str:
    return kept.example.messages[0].content


def test_a_new_row_joins_the_side_of_its_twin() -> None:
    first, lock = frozen(ROWS, [])
    twins = [row(f"{text(kept)} now", 100 + i) for i, kept in enumerate(first.test)]
    second, _ = frozen([*ROWS, *twins], lock)
    assert numbers(second)["test"] == numbers(first)["test"] + [100, 101, 102, 103, 104, 105]
    assert second.leaks == 0


def test_an_edited_row_stays_where_it_was_though_its_old_text_is_gone() -> None:
    first, lock = frozen(ROWS, [])
    second, _ = frozen([row(f"{text(kept)} please", kept.example.source.row) for kept in ROWS], lock)
    assert numbers(second) == numbers(first)


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 29), max_size=8), st.integers(0, 15), st.randoms())
def test_no_row_moves(removed: set[int], added: int, shuffle: random.Random) -> None:
    first, lock = frozen(ROWS, [])
    left = {side: set(held) - removed for side, held in numbers(first).items()}
    assume(all(len(left[side]) >= least for side, least in LEAST.items()))  # fewer are refused
    rows = [kept for kept in ROWS if kept.example.source.row not in removed]
    rows += [row(question(i), i) for i in range(100, 100 + added)]
    shuffle.shuffle(rows)
    second, _ = frozen(rows, lock)
    after = numbers(second)
    assert sum(map(len, after.values())) == len(rows)
    for side in SIDES:
        assert {number for number in after[side] if number < 100} == left[side]


def test_removed_test_rows_are_made_up_from_new_ones() -> None:
    first, lock = frozen(ROWS, [])
    held = {number for number in numbers(first)["test"][:2]}
    rows = [kept for kept in ROWS if kept.example.source.row not in held]
    second, _ = frozen([*rows, *(row(question(i), i) for i in range(100, 110))], lock)
    assert len(second.test) == 6


def test_a_row_that_would_join_two_sides_is_left_out_and_told() -> None:
    new, words_of = row("in between", 99), {side: words(ROWS[i].example) for i, side in enumerate(SIDES)}
    locked = [Locked(said, side) for side, said in words_of.items()]
    first, between, last = (wording(kept.example) for kept in (ROWS[0], new, ROWS[2]))
    twins = [Twins(first, between, 0.9), Twins(between, last, 0.85)]
    bonds = Bonds(twins, list(map(Hold.of, locked)))
    sides, (fate,) = place(Rows.of([*ROWS[:3], new]), {"test": 1}, 0, bonds)
    assert [list(sides[side]) for side in SIDES] == [[ROWS[0]], [ROWS[1]], [ROWS[2]]]
    assert (fate.fate, fate.source.row) == ("twin", 99)
    assert fate.detail == (
        "would join two sides: it belongs to train.jsonl:0 (train) and to train.jsonl:2 (test)"
    )


def test_a_group_stays_on_its_side() -> None:
    rows = [row(question(i), i, group=f"customer {i // 3}") for i in range(30)]
    first, lock = frozen(rows, [])
    for side in SIDES:
        assert len(numbers(first)[side]) % 3 == 0
    third = [row(question(200 + i), 200 + i, group=f"customer {i}") for i in range(10)]
    second, _ = frozen([*rows, *third], lock)
    side_of = {number: side for side, members in numbers(second).items() for number in members}
    assert all(side_of[200 + i] == side_of[3 * i] for i in range(10))


def test_words_of_two_groups_tie_both_to_their_side() -> None:
    """Customers 0 and 1 ask the same: whoever asks later as either stands where that row does."""
    rows = [row(question(i), i, group=f"customer {i}") for i in range(30)]
    shared = row(question(0), 50, group="customer 1")
    first, lock = frozen([*rows, shared], [])
    side_of = {number: side for side, members in numbers(first).items() for number in members}
    assert side_of[0] == side_of[1] == side_of[50]
    later = [row(question(100 + i), 100 + i, group=f"customer {i}") for i in (0, 1)]
    for kept in ([*rows, shared], rows[2:]):
        second, _ = frozen([*kept, *later], lock)
        assert {100, 101} <= set(numbers(second)[side_of[0]])


def test_a_new_group_stands_where_its_locked_words_do_and_stays_there() -> None:
    first, lock = frozen(ROWS, [])
    held = first.test[0]
    joins = [row(text(held), 50, group="new"), *(row(question(i), i, group="new") for i in (100, 101))]
    second, lock = frozen([*ROWS, *joins], lock)
    assert {50, 100, 101} <= set(numbers(second)["test"])
    third, _ = frozen([*ROWS, row(question(102), 102, group="new")], lock)
    assert 102 in numbers(third)["test"]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_group_whose_words_are_locked_on_two_sides_is_left_out(backwards: bool) -> None:
    locked = [Locked(words(ROWS[0].example), "train", "a"), Locked(words(ROWS[1].example), "test", "b")]
    across = [row(text(ROWS[1]), 50, group="a")]
    torn = [row(text(ROWS[0]), 60, group="c"), row(text(ROWS[1]), 61, group="c"), row("new", 62, group="c")]
    rows = [row(text(ROWS[0]), 0, group="a"), row(text(ROWS[1]), 1, group="b"), *across, *torn]
    bonds = Bonds((), list(map(Hold.of, locked)))
    sides, fates = place(Rows.of(rows[:: -1 if backwards else 1]), {"test": 1}, 0, bonds)
    assert {side: [kept.example.source.row for kept in sides[side]] for side in SIDES} == {
        "train": [0],
        "validation": [],
        "test": [1],
    }
    told = {fate.source.row: fate.detail for fate in fates}
    assert told.keys() == {50, 60, 61, 62}
    assert told[50] == "would join two sides: it belongs to the group 'a' (train) and to its words (test)"
    assert told[62].endswith("the group 'c' (train) and to the group 'c' (test)")


def test_what_drop_twins_left_out_stays_out_while_its_twin_is_in_the_test() -> None:
    def split(rows: Sequence[Checked], test: Sequence[Checked], locked: list[Locked], drop: bool) -> Frozen:
        kept = {"train": Rows.of(rows), "validation": Rows.of(()), "test": Rows.of(test)}
        counts = {"train": len(rows), "test": len(test)}
        examination = Examination(kept, (), (), counts, find_twins(Rows.of([*rows, *test]), 0.8))
        return freeze(examination, Split(validation=4, drop_twins=drop), locked=locked)

    twins = {kept.example.source.row for kept in ROWS[:3]}
    test = [row(f"{text(kept)} now", 200 + i) for i, kept in enumerate(ROWS[:3])]
    others = [row(question(300 + i), 300 + i) for i in range(3)]
    first = split(ROWS, test, [], drop=True)
    assert {fate.source.row for fate in first.ledger if fate.fate == "twin"} == twins
    more, lock = [*ROWS, row(question(99), 99)], list(first.new)
    assert len(lock) == len(ROWS)
    second = split(more, test, lock, drop=False)
    assert {fate.source.row for fate in second.ledger if fate.fate == "twin"} == twins
    assert second.leaks == 0 and not second.findings
    third = split(more, others, lock, drop=False)
    assert twins <= {*numbers(third)["train"], *numbers(third)["validation"]}


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    folder = tmp_path / "stage"
    folder.mkdir()
    write_lines(folder / LOCKED, [Locked("user a", "test", "g").line()])
    return folder


def test_the_same_rows_find_the_same_lock_again(tmp_path: Path, stage: Path) -> None:
    folder = tmp_path / "splits" / "task-1"
    first, second = (Lock(folder, rows) for rows in ("aaaa", "bbbb"))
    with first.held():
        assert (first.before, list(first.read())) == ((), [])
        first.add(stage)
    assert second.before == ("0001-aaaa.jsonl",)
    assert list(second.read()) == [Locked("user a", "test", "g")]
    second.add(stage)
    second.add(stage)
    assert sorted(file.name for file in folder.glob("*.jsonl")) == ["0001-aaaa.jsonl", "0002-bbbb.jsonl"]
    assert Lock(folder, "aaaa").before == ()
    assert Lock(folder, "bbbb").before == ("0001-aaaa.jsonl",)


def test_a_new_draw_beside_a_former_one_is_told(tmp_path: Path, stage: Path) -> None:
    """A name is the task's, the project's and the settings'; before, there were no projects."""
    settings, other = "5e7713", "077e50"

    def lock(name: str) -> Lock:
        return Lock(tmp_path / name, "aaaa")

    def freeze(name: str) -> None:
        with lock(name).held():
            lock(name).add(stage)

    assert lock(f"task-aaaaaa-{settings}").news == ""
    freeze(f"task-aaaaaa-{settings}")
    assert lock(f"task-aaaaaa-{settings}").news == ""
    assert lock(f"task-aaaaaa-{other}").news.startswith("the settings of the split changed")
    assert lock(f"task-bbbbbb-{other}").news == ""
    assert lock(f"task-b-aaaaaa-{settings}").news == "" == lock(f"other-aaaaaa-{settings}").news
    moved = lock(f"task-bbbbbb-{settings}").news
    assert f"apart from task-aaaaaa-{settings} of" in moved and str(tmp_path / "task-bbbbbb") in moved
    freeze(f"old-{settings}")
    assert f"apart from old-{settings} of" in lock(f"old-aaaaaa-{settings}").news


def test_entries_go_by_the_highest_number_and_other_files_are_none(tmp_path: Path, stage: Path) -> None:
    lock = Lock(tmp_path / "task-1", "cccc")
    with lock.held():
        (lock.folder / "9999-aaaa.jsonl").write_text("")
        (lock.folder / "10000-bbbb.jsonl").write_text("")
        (lock.folder / "notes.jsonl").write_text("mine")
        lock.add(stage)
    assert (lock.folder / "10001-cccc.jsonl").is_file()
    assert lock.before == ("9999-aaaa.jsonl", "10000-bbbb.jsonl")


@pytest.mark.parametrize("line", ['{"words": "user', '{"word": "x", "side": "test"}', "[]"])
def test_a_damaged_entry_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "0001-aaaa.jsonl").write_text(line)
    with pytest.raises(ResidencyError, match=r"is damaged[\s\S]*0001-aaaa.jsonl"):
        list(Lock(tmp_path, "bbbb").read())
