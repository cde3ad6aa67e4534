"""Programs are run under limits, and end whatever they do."""

import os
import sys

import pytest

from residency.core.errors import ResidencyError
from residency.core.recipe import Scoring
from residency.evals.scorers import get_scorer
from residency.evals.scorers.code import _isolation

TESTS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"
RIGHT = "def add(a, b):\n    return a + b"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no limits on processes")


def grade(got: str, expected: str = TESTS, **settings: object):
    return get_scorer("code", Scoring(seconds=2, **settings))(expected, got)


def test_an_answer_that_the_tests_accept():
    assert grade(RIGHT) == (1.0, True, "", ())
    assert grade(f"Here it is:\n```python\n{RIGHT}\n```\nIt adds.").passed


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ("def add(a, b):\n    return a - b", "AssertionError in 'assert add(2, 3) == 5'"),
        ("def add(a, b:", "SyntaxError"),
        ("import sys\nsys.exit(0)", "ended before the tests did"),
        ("raise SystemExit(3)", "ended with code 3"),
        ("while True: pass", "stopped after 1 s"),
        ("import time\ntime.sleep(60)", "stopped after 1 s"),
        ("x = bytearray(10**10)", "MemoryError"),
    ],
)
def test_an_answer_that_fails_says_why(got, said):
    score = get_scorer("code", Scoring(seconds=1))(TESTS, got)
    assert not score.passed
    assert said in score.reason


def test_tests_of_a_file_stand_for_all_rows(tmp_path):
    (tmp_path / "tests.py").write_text(TESTS)
    assert grade(RIGHT, expected="anything", tests=tmp_path / "tests.py").passed
    (tmp_path / "tests.py").write_text("assert False")  # the rows of a run have the same tests
    assert grade(RIGHT, expected="anything", tests=tmp_path / "tests.py").passed
    (tmp_path / "broken.py").write_text("assert (")
    for expected, tests in (("assert (", None), ("", tmp_path / "broken.py")):
        with pytest.raises(ResidencyError, match="not valid Python"):
            grade(RIGHT, expected=expected, tests=tests)


def test_a_program_sees_an_empty_folder_and_no_secrets(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "secret")
    assert grade(
        "import os\nseen = os.listdir(), os.environ.get('SOME_KEY')", "assert seen == ([], None)"
    ).passed


@pytest.mark.parametrize("isolated", [True, False])
def test_what_a_program_leaves_running_is_ended(tmp_path, monkeypatch, isolated):
    if not isolated:
        monkeypatch.setattr("residency.evals.scorers.code._isolation", tuple)
    child = "import os, time\nif os.fork() == 0:\n    time.sleep(1.5)\n    open({!r}, 'w')\n    os._exit(0)"
    mark = tmp_path / "alive"
    assert grade(child.format(str(mark)), "pass").passed
    os.system("sleep 2")
    assert not mark.exists()


@pytest.mark.skipif(not _isolation(), reason="users may not make namespaces here")
def test_no_network():
    reach = "import socket\ntry:\n    socket.create_connection(('127.0.0.1', {}), 1)\n    seen = True\n"
    reach += "except OSError:\n    seen = False"
    with __import__("socket").create_server(("127.0.0.1", 0)) as server:
        assert grade(reach.format(server.getsockname()[1]), "assert not seen").passed
