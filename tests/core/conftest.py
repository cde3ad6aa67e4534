from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path):
    """Write a recipe, beside a data file `rows.jsonl`."""
    (tmp_path / "rows.jsonl").write_text("{}\n")

    def write(text: str, encoding: str = "utf-8") -> Path:
        file = tmp_path / "residency.toml"
        file.write_bytes(text.encode(encoding))
        return file

    return write
