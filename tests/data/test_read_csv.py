import csv
from pathlib import Path

import pytest

from residency.core.errors import ResidencyError
from residency.data.reading import csv_file as module
from residency.data.reading.csv_file import read_csv


def told(folder: Path, content: str | bytes) -> list[tuple[int, object]]:
    file = folder / "a.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [
        (row.source.row, row.problem or tuple((row.content or {}).values()))
        for row in read_csv(file, file.name)
    ]


def test_tabs_between_the_columns(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\n"two\nlines, one"\tx\nplain\ty\n')
    rows = list(read_csv(file, "b", separator="\t"))
    assert [(str(row.source), row.content) for row in rows] == [
        ("b:2", {"text": "two\nlines, one", "label": "x"}),
        ("b:4", {"text": "plain", "label": "y"}),
    ]
    file.write_text("text,label\na,b\n")
    with pytest.raises(ResidencyError, match="columns are separated by ','.*\n.*\n.*tabs"):
        list(read_csv(file, "b", separator="\t"))


def test_a_record_is_numbered_by_its_first_line(tmp_path: Path) -> None:
    content = '\ufefftext,category\r\n"two\r\nlines",a\r\n\r\n"say ""hi""",b\r\nplain,c'
    assert told(tmp_path, content) == [
        (2, ("two\r\nlines", "a")),
        (5, ('say "hi"', "b")),
        (6, ("plain", "c")),
    ]


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    assert told(tmp_path, "\n text , category\na,b\n") == [(3, ("a", "b"))]


def test_too_few_and_too_many_fields(tmp_path: Path) -> None:
    problem = "{} fields where the header has 2"
    assert told(tmp_path, "a,b\n1\n1,2\n1,2,3\n") == [
        (2, problem.format(1)),
        (3, ("1", "2")),
        (4, problem.format(3)),
    ]


def test_bad_bytes_spoil_their_record_alone(tmp_path: Path) -> None:
    rows = told(tmp_path, b'a,b\n"one\ntw\xffo\nthree",x\nnul\x00,y\ngood,z\n')
    assert rows == [
        (2, "not valid UTF-8 at character 3"),
        (5, "a NUL character at character 4"),
        (6, ("good", "z")),
    ]


def test_a_quote_never_closed_costs_only_what_cannot_be_told_apart(tmp_path: Path) -> None:
    """Line 2 opens a quote that line 4 seems to close: 2 to 4 are in doubt, 5 is not."""
    rows = told(tmp_path, 'a,b\n"bad,x\ngood,y\n"fine",z\nlast,w\n')
    assert rows == [
        (2, "broken quotes: ',' expected after '\"'"),
        (3, "swallowed by the broken quotes on line 2"),
        (4, "swallowed by the broken quotes on line 2"),
        (5, ("last", "w")),
    ]


def test_a_quote_open_at_the_end_of_the_file(tmp_path: Path) -> None:
    rows = told(tmp_path, 'a,b\ngood,x\n"bad,y\nlost,z\n')
    assert rows == [
        (2, ("good", "x")),
        (3, "broken quotes: unexpected end of data"),
        (4, "swallowed by the broken quotes on line 3"),
    ]


def test_the_rest_of_a_torn_record_is_not_taken_for_a_row(tmp_path: Path) -> None:
    rows = told(tmp_path, 'a,b\n"one\nhe said "hi" there\nend",x\n5" pipe,y\n')
    assert [row for row, _ in rows] == [2, 3, 4, 5]
    assert rows[2][1] == "broken quotes, like the record on line 2"
    assert rows[3][1] == ('5" pipe', "y")  # loose quotes elsewhere are text


def test_a_field_above_the_csv_module_s_own_limit(tmp_path: Path) -> None:
    csv.field_size_limit(131_072)
    assert told(tmp_path, f"a,b\n{'x' * 200_000},y\n") == [(2, ("x" * 200_000, "y"))]


def test_a_quoted_field_of_many_lines_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROW", 30)
    rows = told(tmp_path, 'a,b\n"begin\n' + "123456789\n" * 4)
    assert [row for row, _ in rows] == [2, 3, 4, 5, 6]
    assert rows[0][1] == "broken quotes: longer than 30 characters"
    assert rows[3][1] == "swallowed by the broken quotes on line 2"
    assert rows[4][1] == "1 fields where the header has 2"
