"""What must hold for any bytes in a file of any format: rows or one ResidencyError, and a fate for each row.

`python -m tests.fuzz.read_any` runs it under atheris, guided by the lines that are reached.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow
import pyarrow.parquet

from residency.core.errors import ResidencyError
from residency.data.reading.read import read_rows
from residency.data.shapes import RowError, to_example

ROWS = [
    {"input": 'a "quoted", text\nof two lines \u00e9\u2028', "output": "x"},
    {"input": "b", "output": "y" * 50},
    {"input": "", "output": "\t"},
]


def _table() -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), out)
    return out.getvalue()


def _arrow() -> bytes:
    out = io.BytesIO()
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


_LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
_CSV = b'input,output\n"a ""quoted"", text\nof two lines",x\nb,y\n,"\t"\n'
VALID = {
    ".jsonl": _LINES,
    ".ndjson": _LINES,
    ".json": json.dumps({"data": ROWS}).encode(),
    ".csv": _CSV,
    ".tsv": _CSV.replace(b",", b"\t"),
    ".jsonl.gz": gzip.compress(_LINES),
    ".csv.zst": bytes(pyarrow.Codec("zstd").compress(_CSV, asbytes=True)),
    ".parquet": _table(),
    ".arrow": _arrow(),
}
"""A good file of each format, from which others are made; `.arrow` stands for a saved dataset."""


def read_any(ending: str, content: bytes) -> int:
    """The rows of a file with this ending and content, none where it is refused as a whole."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / f"a{ending}"
        if ending == ".arrow":
            source = Path(folder)
            (source / "data.arrow").write_bytes(content)
            (source / "dataset_info.json").write_text("{}")
            (source / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
        else:
            source.write_bytes(content)
        try:
            rows = list(read_rows(source))
        except ResidencyError:
            return 0
    used, refused = 0, 0
    for row in rows:
        assert (row.content is None) != (row.problem is None)
        try:
            to_example(row, None, None)
            used += 1
        except RowError:
            refused += 1
    assert used + refused == len(rows) == len({row.source for row in rows})
    return len(rows)


def _under_atheris(data: bytes) -> None:
    ending = list(VALID)[data[0] % len(VALID)] if data else ".jsonl"
    read_any(ending, data[1:])


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, _under_atheris)
    atheris.Fuzz()
