import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.read_any import ROWS, VALID, read_any

ENDINGS = st.sampled_from(list(VALID))
SYNTAX = st.text('a,"\n\r\t{}[]:1\ud800\0\ufeff').map(lambda text: text.encode(errors="surrogatepass"))
EDITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 20), st.binary(max_size=4) | SYNTAX),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("ending", VALID)
def test_the_files_that_others_are_made_from_are_good(ending: str) -> None:
    assert read_any(ending, VALID[ending]) == len(ROWS)


@settings(deadline=None)
@given(ENDINGS, st.binary() | SYNTAX)
def test_no_bytes_crash_the_reader(ending: str, content: bytes) -> None:
    read_any(ending, content)


@settings(deadline=None, max_examples=300)
@given(ENDINGS, EDITS)
def test_no_damage_to_a_good_file_crashes_the_reader(
    ending: str, edits: list[tuple[int, int, bytes]]
) -> None:
    content = VALID[ending]
    for at, cut, put in edits:
        at %= len(content) + 1
        content = content[:at] + put + content[at + cut :]
    read_any(ending, content)


@pytest.mark.nightly
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris")
def test_guided_by_the_lines_reached(tmp_path: Path) -> None:
    for number, content in enumerate(VALID.values()):
        (tmp_path / str(number)).write_bytes(bytes([number]) + content)
    subprocess.run(
        [sys.executable, "-m", "tests.fuzz.read_any", str(tmp_path), "-max_total_time=300"], check=True
    )
