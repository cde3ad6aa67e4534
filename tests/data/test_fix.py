import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.core.recipe import Data
from residency.core.records import Source
from residency.data.checks.registry import flag_row
from residency.data.excerpt import example_in
from residency.data.ledger import Fate
from residency.data.mending.fix import MENDS, Fixed, fix
from residency.data.mending.patch import Action, Between, Patch, first_of, undo
from residency.data.mending.review import Decision
from residency.data.reading.row import Row

Content = Mapping[str, Any]


def rows_of(contents: Sequence[Content | None]) -> list[Row]:
    """Rows on every other line, as with blank lines between them."""
    return [
        Row(Source("f.jsonl", 2 * number), content, None if content is not None else "not valid JSON")
        for number, content in enumerate(contents, 1)
    ]


def refuse(rows: Sequence[Row], data: Data) -> dict[Source, Fate]:
    """The rows that the check refuses."""
    empty = [row for row in rows if example_in(row, data) is None]
    return {row.source: Fate(row.source, "refused", row.problem or "no shape") for row in empty}


def mend(
    contents: Sequence[Content | None], *only: str, decisions: Sequence[Decision] = (), **data: Any
) -> Fixed:
    recipe = Data(**{"train": "f.jsonl", **data})
    rows = rows_of(contents)
    by_id = {decision.example_id: decision for decision in decisions}
    return fix(rows, recipe, refuse(rows, recipe), by_id, only or MENDS)


def pair(question: Any, answer: Any, **more: Any) -> dict[str, Any]:
    return {"input": question, "output": answer, **more}


def done(fixed: Fixed) -> list[tuple[int, str, str]]:
    return [(action.source.row, action.action, action.check) for action in fixed.actions]


def test_clean_rows_are_left_as_they_are():
    contents = [pair("a", "1", id=7, when=None), pair("b", 2)]
    fixed = mend(contents)
    assert list(fixed.rows) == contents
    assert fixed.actions == ()
    assert [fate.fate for fate in fixed.fates] == ["kept", "kept"]


def test_repeats_are_dropped_and_the_first_stays():
    fixed = mend([pair("a", "1", id=1), pair("b", "1"), pair("a", "1", id=2)])
    assert list(fixed.rows) == [pair("a", "1", id=1), pair("b", "1")]
    assert done(fixed) == [(6, "drop", "duplicate")]
    assert fixed.actions[0].why == "says the same as f.jsonl:2"
    assert [fate.fate for fate in fixed.fates] == ["kept", "kept", "dropped"]
    assert mend([pair("a", "1")] * 2, duplicates="keep").actions == ()


def test_a_clear_majority_settles_a_conflict():
    fixed = mend([pair("a", "2"), pair("a", "1"), pair("a", "1"), pair("b", "1"), pair("b", "2")])
    assert list(fixed.rows) == [pair("a", "1")]
    assert done(fixed) == [
        (2, "merge", "conflict"),
        (6, "drop", "duplicate"),
        (8, "drop", "conflict"),
        (10, "drop", "conflict"),
    ]
    assert fixed.actions[0].why == "the answer of f.jsonl:4 stays: given by 2 of 3"
    assert mend([pair("a", "2"), pair("a", "1")], conflicts="keep").actions == ()


def test_unusable_rows_are_dropped_and_unreadable_ones_always():
    contents = [None, {"words": "no shape"}, pair("a", "1")]
    assert done(mend(contents)) == [(2, "drop", "refused"), (4, "drop", "refused")]
    fixed = mend(contents, "duplicate")
    assert done(fixed) == [(2, "drop", "refused")]
    assert list(fixed.rows) == contents[1:]


def test_answers_rated_bad_stay_and_are_held_against_no_other():
    contents = [
        {"prompt": "a", "completion": "1", "label": True},
        {"prompt": "a", "completion": "2", "label": False},
        {"prompt": "a", "completion": "3", "label": False},
    ]
    rows = rows_of(contents)
    refused = {row.source: Fate(row.source, "refused", "rated bad") for row in rows[1:]}
    fixed = fix(rows, Data(train="f.jsonl"), refused, {})
    assert (list(fixed.rows), fixed.actions) == (contents, ())


def test_personal_data_becomes_placeholders_in_input_and_answer():
    fixed = mend(
        [pair("I am ann.lee@example.org", "Wrote to ann.lee@example.org.", mail="ann.lee@example.org")]
    )
    assert list(fixed.rows) == [pair("I am [EMAIL]", "Wrote to [EMAIL].", mail="ann.lee@example.org")]
    assert done(fixed) == [(2, "redact", "personal-data")]


def test_rows_that_are_mended_to_the_same_are_repeats():
    contents = [pair("a", '{"x": 1, "y": 2}')] * 2 + [
        pair("b", '{"x": 1, "y": 2}'),
        pair("a", ' {"y":2,"x":1}'),
    ]
    fixed = mend(contents)
    assert [row["input"] for row in fixed.rows] == ["a", "b"]
    assert done(fixed) == [
        (4, "drop", "duplicate"),
        (8, "reformat", "format-blanks"),
        (8, "reformat", "format-json"),
        (8, "drop", "duplicate"),
    ]


def test_with_repeats_gone_another_form_may_be_that_of_most():
    contents = [*[pair("a", "1 ")] * 3, pair("b", "1"), pair("c", "2")]
    assert list(mend(contents).rows) == [pair("a", "1"), pair("b", "1"), pair("c", "2")]
    assert mend(contents, "format-blanks").actions == ()


def decide(content: Content, action: Any, answer: str | None = None) -> Decision:
    example = example_in(Row(Source("old.jsonl", 99), content, None), Data(train="f"))
    assert example is not None
    return Decision(Source("old.jsonl", 99), example.id, action, answer, None, "judged")


def test_decisions_hold_wherever_the_row_stands():
    kept, edited, dropped = pair("a", " 1"), pair("b", "2"), pair("c", "3")
    decisions = [decide(kept, "keep"), decide(edited, "edit", "4"), decide(dropped, "drop")]
    fixed = mend([dropped, pair("d", "5"), edited, kept], decisions=decisions)
    assert list(fixed.rows) == [pair("d", "5"), pair("b", "4"), kept]
    assert done(fixed) == [(2, "drop", "review"), (6, "edit", "review")]


def test_a_row_judged_good_wins_a_conflict_against_the_majority():
    right = pair("a", "2")
    fixed = mend([pair("a", "1"), right, pair("a", "1")], decisions=[decide(right, "keep")])
    assert list(fixed.rows) == [right]


def test_values_that_json_does_not_know_are_written_as_text():
    import datetime

    day = datetime.date(2024, 5, 1)
    fixed = mend([pair("a", "1", day=day, score=float("nan"), parts=(1, day))])
    assert list(fixed.rows) == [pair("a", "1", day="2024-05-01", score=None, parts=[1, "2024-05-01"])]


TEXTS = st.sampled_from(
    ["a", "b ", "schÃ¶n", "mail ann.lee@example.org", "mail bob.ray@example.org", '{"x": 1, "y": 2}']
    + ['{"y":2,"x":1}', ' {"x": 1, "y": 2}', "4"]
)
CONTENTS = st.one_of(
    st.builds(pair, TEXTS, TEXTS),
    st.builds(pair, TEXTS, TEXTS, id=st.integers(0, 2)),
    st.builds(
        lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]},
        TEXTS,
        TEXTS,
    ),
    st.sampled_from([None, {"text": "x"}, pair("a", "")]),
)
ONLY = st.one_of(st.just(tuple(MENDS)), st.lists(st.sampled_from(list(MENDS)), min_size=1, unique=True))


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@settings(deadline=None)
@given(st.lists(CONTENTS, max_size=12), ONLY)
def test_undo_gives_the_rows_back_in_their_order(contents, only):
    fixed = mend(contents, *only)
    actions = [Action.from_json(through_json(action.to_json())) for action in fixed.actions]
    assert undo(through_json(fixed.rows), actions) == [content for content in contents if content is not None]
    counts = Counter(fate.fate for fate in fixed.fates)
    assert counts.total() == len(contents)
    assert counts["kept"] + counts["mended"] == len(fixed.rows)


@settings(deadline=None)
@given(st.lists(CONTENTS, max_size=12))
def test_a_second_fix_finds_nothing_to_do(contents):
    fixed = mend(contents)
    assert mend(fixed.rows).actions == ()
    recipe = Data(train="f.jsonl")
    rows = rows_of(fixed.rows)
    examples = [example for row in rows if (example := example_in(row, recipe))]
    assert len(examples) == len(rows)
    assert not any(flag_row(example).keys() & {"personal-data", "secrets"} for example in examples)
    assert len({example.input_id for example in examples}) == len(rows)


@pytest.mark.parametrize("change", [lambda rows: rows[1:], lambda rows: [*rows[:-1], pair("z", "z")]])
def test_a_patch_of_another_file_is_refused(change):
    fixed = mend(
        [
            pair("a", "1"),
            pair("a", "1"),
            pair("b", "1 "),
            pair("c", "1"),
            pair("d", "mail ann.lee@example.org"),
        ]
    )
    with pytest.raises(ResidencyError, match="not the one that this patch belongs to"):
        undo(change(list(fixed.rows)), fixed.actions)


def test_a_patch_is_followed_from_the_mended_file_and_not_from_another_of_its_name(tmp_path):
    Patch(Between("first.csv", "0", "0"), ()).write(tmp_path / "data.patch.jsonl")
    assert first_of(tmp_path / "data.jsonl") == tmp_path / "first.csv"
    assert first_of(tmp_path / "data.csv") == tmp_path / "data.csv"
