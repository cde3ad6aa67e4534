"""JSON a row at a time, against the standard library's parser on the whole text."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.core.errors import ResidencyError
from residency.data.reading import json_file as module
from residency.data.reading import window
from residency.data.reading.read import Row, read_rows

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab", max_size=2), inner)
)
TEXTS = st.builds(
    lambda items, wrap, indent, plain: json.dumps(
        {"b": 1, "data": items, "a": {"data": [2]}} if wrap else items, indent=indent, ensure_ascii=plain
    ),
    st.lists(VALUES, max_size=6),
    st.booleans(),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)


def read(content: str | bytes, name: str = "a.json") -> list[Row]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_rows(file))


def told(content: str | bytes, name: str = "a.json") -> list[tuple[int, str, object]]:
    return [(row.source.row, row.check, row.problem or row.content) for row in read(content, name)]


def expected(text: str) -> list[object]:
    content = json.loads(text)
    items = content.get("data") if isinstance(content, dict) else content
    return [item if isinstance(item, dict) else type(item).__name__ for item in items]


@settings(deadline=None)
@given(TEXTS, st.integers(1, 40))
def test_the_same_rows_as_of_the_text_as_a_whole(text: str, chunk: int) -> None:
    wanted = expected(text)
    with mock.patch.object(window, "_CHUNK", chunk):
        if not wanted:
            with pytest.raises(ResidencyError, match="holds no rows"):
                read(text)
            return
        rows = read(text)
    assert [row.source.row for row in rows] == list(range(1, len(wanted) + 1))
    for row, item in zip(rows, wanted, strict=True):
        if isinstance(item, dict):
            assert repr(row.content) == repr(item)  # as texts: a NaN is not equal to itself
        else:
            assert row.problem == f"a {item}, not an object with named columns"


@settings(deadline=None)
@given(
    TEXTS,
    st.integers(0, 10_000),
    st.text('{}[]",:\\1tx \n', max_size=3),
    st.integers(0, 3),
    st.integers(1, 40),
)
def test_the_same_error_at_the_same_line(text: str, at: int, put: str, cut: int, chunk: int) -> None:
    at %= len(text)
    text = text[:at] + put + text[at + cut :]
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        with mock.patch.object(window, "_CHUNK", chunk), pytest.raises(ResidencyError) as raised:
            read(text)
        if text.strip() and "trailing comma" not in error.msg:
            assert raised.value.what == f"The file is not valid JSON: {error.msg}."
            assert raised.value.where.endswith(f"a.json:{error.lineno}")


def test_values_that_would_spoil_the_file_spoil_their_row_alone() -> None:
    deep = "[" * 10_000 + "]" * 10_000
    text = f'[{{"a": 1}}, {{"a": {deep}, "b": "]}}\\\\\\"["}}, {{"a": {"1" * 5000}}}, {{"a": 4}}]'
    rows = told(text)
    assert [number for number, _, _ in rows] == [1, 2, 3, 4]
    assert rows[0][2] == {"a": 1} and rows[3][2] == {"a": 4}
    assert rows[1][2] == "nested too deeply"
    assert str(rows[2][2]).startswith("not valid JSON: Exceeds the limit")


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_a_value_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "MAX_ROW", 30)
    monkeypatch.setattr(window, "_CHUNK", chunk)
    long = json.dumps({"a": 'x\\"]}' * 20, "b": [{}]})
    fits, over = ('{"a": "' + "x" * n + '"}' for n in (21, 22))
    assert (len(fits), len(over)) == (30, 31)
    text = f'{{"more": {long}, "data": [{long}, {fits}, {over} ,{long}, {"1" * 40}, {{"a": 4}}]}}'
    too_long = "longer than 30 characters"
    assert [row for _, _, row in told(text)] == [
        too_long,
        {"a": "x" * 21},
        too_long,
        too_long,
        too_long,
        {"a": 4},
    ]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
def test_a_key_that_stands_twice(name: str) -> None:
    rows = ['{"a": 1, "b": 2}', '{"a": 1, "b": 2, "a": 1}', '{"a": [{"c": 1, "c": 2}]}', '{"a": 3}']
    text = f"[{','.join(rows)}]" if name == "a.json" else "\n".join(rows)
    assert told(text, name) == [
        (1, "malformed", {"a": 1, "b": 2}),
        (2, "duplicate-keys", "the key 'a' stands twice in one object"),
        (3, "duplicate-keys", "the key 'c' stands twice in one object"),
        (4, "malformed", {"a": 3}),
    ]


def test_a_key_that_stands_twice_in_a_broken_line_is_not_held_against_the_next() -> None:
    assert [row for _, _, row in told('{"a": 1, "a": 2} x\n{"a": 3}\n', "a.jsonl")] == [
        "not valid JSON: Extra data at column 18",
        {"a": 3},
    ]
    assert told('{"x": {"a": 1, "a": 2}, "data": [{"a": 3}]}') == [(1, "malformed", {"a": 3})]


def test_two_lists_of_rows() -> None:
    with pytest.raises(ResidencyError, match="the key 'data' stands twice"):
        read('{"data": [{"a": 1}], "data": [{"a": 2}]}')


def test_numbers_that_are_none() -> None:
    (row,) = read('{"a": 1e999, "b": NaN, "c": -Infinity}', "a.jsonl")
    assert row.content is not None
    assert row.content["a"] == math.inf and math.isnan(row.content["b"]) and row.content["c"] == -math.inf


def test_columns_are_counted_from_the_line_s_start() -> None:
    assert told('  {"a": x}', "a.jsonl")[0][2] == "not valid JSON: Expecting value at column 9"
