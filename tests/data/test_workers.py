"""The work on a large file is shared among processes, and nobody can tell from what is written."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from residency.core.errors import ResidencyError, SeveralErrors, UnfitData
from residency.core.recipe import Data, Split
from residency.data import usable, workers
from residency.data.check import examine
from residency.data.split.freeze import freeze
from residency.data.workers import spread


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def fail(number: int) -> int:
    if number == 7:
        raise ResidencyError("Seven is no number.", "here", "Take eight.")
    return number


def end(number: int) -> int:
    if number:
        os._exit(1)
    return number


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes help from the second batch on."""
    monkeypatch.setattr(workers, "ALONE", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_batches_are_done_in_their_order_by_others_after_the_first(early: None) -> None:
    done = list(spread(double, range(30)))
    assert [number for number, _ in done] == [2 * number for number in range(30)]
    by = {process for _, process in done[1:]}
    assert done[0][1] == os.getpid() and os.getpid() not in by


def test_an_error_comes_out_where_it_would_alone_and_nobody_is_left_behind(early: None) -> None:
    done = []
    with pytest.raises(ResidencyError, match="Seven is no number"):
        for number in spread(fail, range(30)):
            done.append(number)
    assert done == list(range(7))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("kind", [SeveralErrors, UnfitData])
def test_several_errors_go_from_one_process_to_another(kind: type[SeveralErrors]) -> None:
    error = kind([ResidencyError(f"What {n}.", f"where {n}", f"Fix {n}.") for n in range(2)])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == str(error) and again.to_json() == error.to_json()


def test_a_process_that_is_ended_is_told_with_both_causes(early: None) -> None:
    with pytest.raises(ResidencyError, match=r"was ended[\s\S]*memory[\s\S]*__main__"):
        list(spread(end, range(5)))


def test_one_core_needs_no_help(early: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert {process for _, process in spread(double, range(5))} == {os.getpid()}


def test_files_are_the_same_whoever_did_the_work(
    tmp_path: Path, renderer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"input": f"where is order {i} of mine?", "output": f"answer {i % 3}"} for i in range(60)]
    rows += [{"input": "mail a.bc@example.org", "output": ""}, rows[3], {"input": "x", "output": "y", "z": 1}]
    rows += [{"input": "mail a.bc@mail.org", "output": "yes"}, {"text": "where is order 3 of mine"}]
    file = tmp_path / "train.jsonl"
    file.write_text("{\n" + "".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(usable, "BATCH", 8)
    written = []
    for name, alone in (("alone", 50), ("helped", 1)):
        monkeypatch.setattr(workers, "ALONE", alone)
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        folder = tmp_path / name
        folder.mkdir()
        examination = examine(Data(train=file, max_refused=1), "", renderer)
        examination.write(folder)
        freeze(examination, Split()).write(folder)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1] and len(written[0]) == 10


SLEEPER = """
import time
from residency.data import workers
def work(number):
    print(__import__("os").getpid(), flush=True)
    time.sleep(1)
if __name__ == "__main__":
    workers.ALONE = 0
    list(workers.spread(work, range(1000)))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_helpers_end_with_the_process_that_asked_for_them(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    asked = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert asked.stdout is not None
    helpers = {int(asked.stdout.readline()) for _ in range(2)}
    asked.send_signal(how)
    _, told = asked.communicate(timeout=30)
    assert told.count("Traceback") <= 1  # its own, since nothing here takes up Ctrl-C
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(map(is_running, helpers)):
        time.sleep(0.05)
    assert not any(map(is_running, helpers))


IMPORTER = """
import os, time
from residency.data import workers
if __name__ != "__main__":
    print(os.getpid(), flush=True)
    time.sleep(1)
if __name__ == "__main__":
    workers.ALONE = 0
    list(workers.spread(abs, range(1000)))
"""


def test_ctrl_c_while_helpers_still_import_is_told_once(tmp_path: Path) -> None:
    script = tmp_path / "importer.py"
    script.write_text(IMPORTER)
    asked = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert asked.stdout is not None
    asked.stdout.readline()
    os.killpg(asked.pid, signal.SIGINT)  # as a terminal does, to all of them
    _, told = asked.communicate(timeout=30)
    assert told.count("Traceback") <= 1 and told.rstrip().endswith("KeyboardInterrupt")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
