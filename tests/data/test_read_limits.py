"""Rows of any length are read, or passed over, in bounded memory: measured in a process of its own."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest

LONG = 100 << 20
"""Six times the longest row that is read."""
READ = """
import json, pyarrow, resource, sys
from pathlib import Path
from residency.data.reading.read import read_rows

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = [(row.source.row, row.problem or row.content) for row in read_rows(Path(sys.argv[1]))]
print(json.dumps([rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""
TOO_LONG = "longer than 16,777,216 characters"


def read(file: Path) -> list[list[object]]:
    called = subprocess.run(
        [sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=True
    )
    rows, kibibytes = json.loads(called.stdout)
    assert kibibytes < 160 * 1024
    return rows


def write_around(file: Path, before: bytes, after: bytes) -> Path:
    """A file with a hole of `LONG` zeros in it, that takes no room on the disk."""
    with file.open("wb") as out:
        out.write(before)
        out.seek(LONG, 1)
        out.write(after)
    return file


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in the kernel's way")
@pytest.mark.parametrize(
    ("name", "before", "after", "rows"),
    [
        ("a.jsonl", b'{"a": 1}\n', b'\n{"a": 2}\n', [[1, {"a": 1}], [2, TOO_LONG], [3, {"a": 2}]]),
        ("a.csv", b"a\nx\n", b"\ny\n", [[2, {"a": "x"}], [3, TOO_LONG], [4, {"a": "y"}]]),
        ("a.csv.gz", b"a\nx\n", b"\ny\n", [[2, {"a": "x"}], [3, TOO_LONG], [4, {"a": "y"}]]),
        ("a.jsonl.zst", b'{"a": 1}\n', b'\n{"a": 2}\n', [[1, {"a": 1}], [2, TOO_LONG], [3, {"a": 2}]]),
        ("a.json", b'[{"a": 1}, {"a": "', b'"}, {"a": 2}]', [[1, {"a": 1}], [2, TOO_LONG], [3, {"a": 2}]]),
    ],
)
def test_a_row_without_end(tmp_path: Path, name: str, before: bytes, after: bytes, rows: object) -> None:
    plain = write_around(tmp_path / "plain", before, after)
    if name.endswith(".json"):  # a zero in a string is an error at once, and no row too long
        plain.write_bytes(before + b"x" * LONG + after)
    file = tmp_path / name
    if name.endswith(".gz"):
        with plain.open("rb") as source, gzip.open(file, "wb", compresslevel=1) as out:
            while piece := source.read(1 << 20):
                out.write(piece)
    elif name.endswith(".zst"):
        with plain.open("rb") as source, pyarrow.CompressedOutputStream(str(file), "zstd") as packing:
            while piece := source.read(1 << 20):
                packing.write(piece)
    else:
        plain.rename(file)
    assert "gz" not in name or file.stat().st_size < LONG / 100
    assert read(file) == rows
