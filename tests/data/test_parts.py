from hypothesis import given
from hypothesis import strategies as st

from residency.core.records import Example, Message, Source
from residency.data.ledger import Checked
from residency.data.rows import Rows
from residency.data.split.freeze import Frozen
from residency.data.split.parts import part_of


def frozen(texts, file="rows.jsonl"):
    rows = Rows.of(
        Checked(Example((Message("user", text), Message("assistant", "x")), Source(file, n)), 9, 2)
        for n, text in enumerate(texts, 1)
    )
    return Frozen(rows, rows[:2], rows[:3], (), (), "", 0, ())


TEXTS = [f"row {n}" for n in range(27)]


def asked(part):
    return [row.example.prompt[0].content for row in part.train]


@given(st.floats(0, 1), st.floats(0, 1), st.lists(st.sampled_from(TEXTS), min_size=1))
def test_a_larger_part_holds_a_smaller_in_the_rows_order(one, other, texts):
    whole = frozen(texts)
    small, large = (part_of(whole, share).train for share in sorted((one, other)))
    assert set(row.example.source for row in small) <= set(row.example.source for row in large)
    assert list(large) == [row for row in whole.train if row in large]


def test_a_part_has_its_share_and_leaves_the_held_out_rows_alone():
    whole = frozen(TEXTS)
    parts = [part_of(whole, share) for share in (0.001, 0.25, 0.5, 1)]
    assert [len(part.train) for part in parts] == [1, 7, 14, 27]
    assert parts[3] == whole
    assert all((part.validation, part.test) == (whole.validation, whole.test) for part in parts)


def test_a_part_goes_by_what_rows_say_and_not_by_where_they_stand():
    part = asked(part_of(frozen(TEXTS), 0.5))
    moved = asked(part_of(frozen(TEXTS[::-1], "elsewhere.jsonl"), 0.5))
    assert sorted(moved) == sorted(part)
    assert part not in (TEXTS[:14], TEXTS[13:])
    # a row more takes the place of one at most
    more = asked(part_of(frozen([*TEXTS, "one more"]), 0.5))
    assert len(set(part) - set(more)) <= 1
