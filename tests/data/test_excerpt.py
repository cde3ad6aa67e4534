"""Rows that are read back to be shown."""

from pathlib import Path

import pytest

from residency.core.errors import ResidencyError
from residency.core.records import Source
from residency.data.reading.read import rows_at
from residency.data.reading.row import Row


def test_rows_are_read_back_up_to_the_last_one_wanted(tmp_path: Path) -> None:
    """The third row is cut off, and whoever comes so far is told."""
    file = tmp_path / "rows.json"
    file.write_text('[{"input": "a"}, {"input": "b"}, {')
    second = Source("rows.json", 2)
    assert rows_at(file, tmp_path, {second, Source("other.json", 1)}) == {second: Row(second, {"input": "b"})}
    assert rows_at(file, tmp_path, {Source("other.json", 1)}) == {}
    with pytest.raises(ResidencyError, match="not valid JSON"):
        rows_at(file, tmp_path, {second, Source("rows.json", 3)})


def test_of_lines_those_that_nobody_wants_are_not_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"input": "a"}\n{broken\n{"input": "b"}\n')
    first, broken, third = (Source("rows.jsonl", number) for number in (1, 2, 3))
    assert rows_at(file, tmp_path, {first, third}) == {
        first: Row(first, {"input": "a"}),
        third: Row(third, {"input": "b"}),
    }
    assert rows_at(file, tmp_path, {broken})[broken].content is None
