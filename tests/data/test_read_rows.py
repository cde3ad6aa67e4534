import json
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from residency.core.errors import ResidencyError
from residency.data.reading import row as rows_module
from residency.data.reading.read import Row, read_rows


def read(folder: Path, name: str, content: bytes | str) -> list[Row]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(file))


def told(rows: list[Row]) -> list[tuple[int, object]]:
    return [(row.source.row, row.problem or row.content) for row in rows]


def test_jsonl_counts_lines_as_an_editor_does(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.jsonl", '\ufeff{"a": 1}\r\n\n  \n{"a": "x\u2028y"}\n{"a": 3}')
    assert told(rows) == [(1, {"a": 1}), (4, {"a": "x\u2028y"}), (5, {"a": 3})]
    assert {row.source.file for row in rows} == {"a.jsonl"}


def test_a_line_of_odd_white_space_is_not_lost(tmp_path: Path) -> None:
    """Python strips a file separator; JSON does not know it as white space."""
    assert [row.source.row for row in read(tmp_path, "a.jsonl", '{"a": 1}\n\x1c\n \t\r\n')] == [1, 2]


def test_jsonl_bad_lines_are_rows_with_a_problem(tmp_path: Path) -> None:
    lines = [
        b'{"a": 1}',
        b"[1, 2]",
        b'{"a": "caf\xe9"}',
        b'{"a": "\x00"}',
        b'{"a": ',
        b"[" * 100_000,
        b'{"a": ' + b"1" * 5000 + b"}",
        b"\x89PNG\r\x00\xff",
        b'{"a": 2}',
    ]
    rows = read(tmp_path, "a.jsonl", b"\n".join(lines))
    assert [row.source.row for row in rows] == list(range(1, 10))
    assert rows[0].content == {"a": 1} and rows[8].content == {"a": 2}
    assert all(row.content is None for row in rows[1:8])
    assert rows[1].problem == "a list, not an object with named columns"
    assert rows[2].problem == "not valid UTF-8 at character 11"
    assert rows[3].problem == "a NUL character at character 8"
    assert rows[4].problem == "not valid JSON: Expecting value at column 7"
    assert rows[5].problem == "nested too deeply"
    assert rows[6].problem is not None and rows[6].problem.startswith("not valid JSON: Exceeds the limit")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_line_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW", 20)
    good = {"a": "1", "b": "2"}
    line, header = ("1,2\n", "a,b\n") if name == "a.csv" else (json.dumps(good) + "\n", "")
    rows = read(tmp_path, name, header + line + "x" * 100 + "\n" + line)
    assert [row.content for row in rows] == [good, None, good]
    assert rows[1].problem == "longer than 20 characters"
    assert [row.source.row for row in rows] == [row + bool(header) for row in (1, 2, 3)]


def test_json_takes_a_list_or_a_list_under_data(tmp_path: Path) -> None:
    expected = [(1, {"a": 1}), (2, "a int, not an object with named columns"), (3, {"a": 3})]
    assert told(read(tmp_path, "a.json", '[{"a": 1}, 2,\n {"a": 3}]')) == expected
    assert told(read(tmp_path, "b.JSON", '\ufeff{"data": [{"a": 1}, 2, {"a": 3}]}')) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", "", "The file is empty"),
        ("a.json", "[]", "holds no rows"),
        ("a.json", '{"rows": []}', "no list of objects"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', "rename it to a.jsonl"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", b'[{"a": "\xff"}', "not valid JSON"),
        ("a.jsonl", " \n\n", "holds no rows"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "UTF-16"),
        ("a.csv", "", "The file is empty"),
        ("a.csv", "a,b\n", "holds no rows"),
        ("a.csv", "a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ("a.csv", "a;b\n1;2\n", "commas between the columns"),
        ("a.csv", '"a,b\n1,2\n', "header cannot be read"),
        ("a.csv", b"a,\xff\n1,2\n", "not valid UTF-8"),
        ("a.parquet", "PAR1 but no more", "cannot be read"),
        ("a.parquet", "", "cannot be read"),
        ("a.xlsx", "", "Files ending in '.xlsx'"),
    ],
)
def test_a_file_of_which_nothing_can_be_read(
    tmp_path: Path, name: str, content: str | bytes, expected: str
) -> None:
    with pytest.raises(ResidencyError, match=expected) as raised:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in raised.value.where


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_missing_file_and_a_folder(tmp_path: Path, ending: str) -> None:
    with pytest.raises(ResidencyError):
        list(read_rows(tmp_path / f"missing{ending}"))
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(ResidencyError):
        list(read_rows(tmp_path / f"folder{ending}"))


def test_parquet_rows(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    content = [{"messages": turns, "n": 1, "b": None}, {"messages": None, "n": 2, "b": True}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content), tmp_path / "a.parquet")
    assert told(list(read_rows(tmp_path / "a.parquet"))) == [(1, content[0]), (2, content[1])]


def test_parquet_with_a_text_that_is_not_utf8(tmp_path: Path) -> None:
    binary = pyarrow.array([b"good", b"b\xff", b"fine"], pyarrow.binary())
    text = pyarrow.StringArray.from_buffers(3, *binary.buffers()[1:])
    pyarrow.parquet.write_table(pyarrow.table({"a": text}), tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet"))
    assert told(rows) == [(1, {"a": "good"}), (2, "not valid UTF-8"), (3, {"a": "fine"})]


def test_parquet_damaged_in_the_middle_stops(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    values = [f"text number {i}" for i in range(2000)]
    table = pyarrow.table({"a": values})
    pyarrow.parquet.write_table(table, file, row_group_size=1000, compression="none", use_dictionary=False)
    content = bytearray(file.read_bytes())
    half = content.index(b"text number 1000")
    content[half - 40 : half + 40] = b"\xff" * 80
    file.write_bytes(content)
    with pytest.raises(ResidencyError, match="cannot be read"):
        list(read_rows(file))


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a{ending}"
    text, count = "word " * 400, 5_000  # 10 MB
    if ending == ".jsonl":
        file.write_text(f'{{"a": "{text}"}}\n' * count)
    elif ending == ".json":
        file.write_text(f'[{{"a": "{text}"}}' + f', {{"a": "{text}"}}' * (count - 1) + "]")
    elif ending == ".csv":
        file.write_text("a\n" + f"{text}\n" * count)
    else:
        table = pyarrow.table({"a": [f"{i} {text}" for i in range(count)]})
        pyarrow.parquet.write_table(table, file, use_dictionary=False, compression="none")
        del table
    next(read_rows(file))  # imports are not the reader's memory
    tracemalloc.start()
    try:
        arrow = [pyarrow.total_allocated_bytes() for _ in read_rows(file)]
        python = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(arrow) == count
    assert max(arrow) + python < 5_000_000
