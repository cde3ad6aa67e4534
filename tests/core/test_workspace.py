import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from residency.core.errors import ResidencyError
from residency.core.workspace import Workspace, read_json, read_jsonl, write_json, write_jsonl


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / ".residency")


def content(workspace: Workspace) -> set[str]:
    """Every file but locks, from the workspace's folder."""
    files = (f for f in workspace.folder.rglob("*") if f.is_file() and f.suffix != ".lock")
    return {str(f.relative_to(workspace.folder)) for f in files}


def put(text: str):
    def build(folder: Path) -> None:
        (folder / "out.txt").write_text(text)

    return build


def never(folder: Path) -> None:
    raise AssertionError("built again")


def test_a_stage_is_built_once_for_equal_inputs(workspace):
    first, before = workspace.stage("check", {"a": 1, "b": [2]}, put("one"))
    assert not before
    again, before = workspace.stage("check", {"b": [2], "a": 1}, never)
    assert (again, before) == (first, True)
    assert (first / "out.txt").read_text() == "one"
    stage = read_json(first / "stage.json")
    assert (stage["stage"], stage["inputs"]) == ("check", {"a": 1, "b": [2]})


@pytest.mark.parametrize(
    ("name", "inputs"), [("check", {"a": 2}), ("freeze", {"a": 1}), ("check", {"a": "1"})]
)
def test_other_inputs_are_another_stage(workspace, name, inputs):
    first, _ = workspace.stage("check", {"a": 1}, put("one"))
    other, before = workspace.stage(name, inputs, put("two"))
    assert not before
    assert other != first


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_failing_build_leaves_nothing(workspace, error):
    def build(folder: Path) -> None:
        put("half")(folder)
        raise error

    with pytest.raises(type(error)):
        workspace.stage("check", {}, build)
    assert content(workspace) == {".gitignore"}

    def second(folder: Path) -> None:
        assert list(folder.iterdir()) == []

    assert workspace.stage("check", {}, second)[1] is False


def test_a_resumable_stage_is_given_its_folder_again(workspace):
    def build(folder: Path) -> None:
        put("half")(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.stage("train", {}, build, resumable=True)
    assert not list((workspace.folder / "stages").glob("train-*"))

    def resume(folder: Path) -> None:
        assert (folder / "out.txt").read_text() == "half"
        put("whole")(folder)

    final, before = workspace.stage("train", {}, resume, resumable=True)
    assert not before
    assert (final / "out.txt").read_text() == "whole"
    assert not list((workspace.folder / "stages" / ".partial").glob("train-*[!k]"))


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_the_users_to_mend_and_leaves_nothing(workspace, monkeypatch):
    workspace.stage("check", {}, put("one"))
    before = content(workspace)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResidencyError) as caught:
        workspace.stage("freeze", {}, put("two"))
    assert caught.value.what == "Writing failed: No space left on device."
    assert "Free some disk space" in caught.value.fix
    assert content(workspace) == before


def test_a_build_that_meets_a_full_disk(workspace):
    with pytest.raises(ResidencyError, match="Writing failed: No space left on device"):
        workspace.stage("check", {}, full)


def test_another_failure_of_a_build_is_a_bug(workspace):
    with pytest.raises(FileNotFoundError):
        workspace.stage("check", {}, lambda folder: (folder / "gone").read_text())
    assert content(workspace) == {".gitignore"}


def test_a_file_keeps_what_it_held_when_writing_fails(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    write_json(file, {"old": "ä"})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResidencyError):
        write_json(file, {"new": 1})
    assert read_json(file) == {"old": "ä"}
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]


def test_rows_come_back_as_they_were(tmp_path):
    rows = [{"text": "a\u2028b\r\n"}, {"text": "half \ud800"}, {}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == rows


def test_a_place_that_cannot_hold_a_workspace(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResidencyError, match="Writing failed: Not a directory"):
        Workspace(tmp_path / "file").stage("check", {}, never)


SCRIPT = """
import sys, time
from pathlib import Path
from residency.core.workspace import Workspace

def build(folder):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)

print(Workspace(Path(sys.argv[1])).stage("check", {"a": 1}, build)[0])
"""


def test_who_waits_for_another_process_is_told_once_for_which_and_where(workspace, said_aside):
    begun, end = threading.Event(), threading.Event()

    def slow(folder):
        begun.set()
        assert end.wait(60)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(workspace.stage, "train", {"a": 1}, slow)
        assert begun.wait(60)
        second = pool.submit(workspace.stage, "train", {"a": 1}, never)
        while not said_aside and not second.done():
            time.sleep(0.01)
        time.sleep(0.05)
        end.set()
        assert (first.result()[1], second.result()[1]) == (False, True)
    partial = workspace.folder / "stages" / ".partial" / first.result()[0].name
    wanted = f"  waiting for process {os.getpid()}, which is at work on the stage train: {partial}"
    assert said_aside == [wanted]
    assert not list(partial.parent.glob("*.pid"))


def test_two_processes_build_a_stage_once(workspace, tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", SCRIPT, str(workspace.folder), str(log)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=900)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(said) == 1
    assert log.read_text() == "built\n"


def test_find_walks_up_and_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.delenv("RESIDENCY_HOME", raising=False)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert Workspace.find(deep).folder == deep / ".residency"
    (tmp_path / ".residency").mkdir()
    assert Workspace.find(deep).folder == tmp_path / ".residency"
    (tmp_path / "a" / ".residency").mkdir()
    monkeypatch.chdir(deep)
    assert Workspace.find().folder == tmp_path / "a" / ".residency"
    monkeypatch.setenv("RESIDENCY_HOME", str(tmp_path / "home"))
    assert Workspace.find(deep).folder == tmp_path / "home"


@pytest.fixture
def with_runs(workspace):
    for age, name in enumerate(["tickets-aaa111", "tickets-aab222", "blue-ccc333"]):
        folder = workspace.runs / name
        folder.mkdir(parents=True)
        write_json(folder / "run.json", {"run": name})
        os.utime(folder, (1e9 + age, 1e9 + age))
    (workspace.runs / "half-made").mkdir()
    write_json(workspace.folder / "run.json", {"run": "outside"})
    return workspace


def test_runs_are_listed_newest_first(with_runs):
    assert with_runs.run_names() == ["blue-ccc333", "tickets-aab222", "tickets-aaa111"]


def test_the_newest_run_is_the_one_begun_last_whichever_folder_was_changed_last(with_runs):
    begun = {
        "tickets-aaa111": "2026-03-01T12:00:00+0200",  # 10:00 in UTC
        "tickets-aab222": "2026-03-01T09:30:00+0000",
        "blue-ccc333": "2026-03-01T10:00:00+0000",  # the same moment; its folder was changed later
    }
    for name, created in begun.items():
        write_json(with_runs.runs / name / "run.json", {"run": name, "created": created})
        os.utime(with_runs.runs / name, (2e9, 2e9 + (name == "tickets-aab222") * 5 + (name[0] == "b")))
    assert with_runs.run_names() == ["blue-ccc333", "tickets-aaa111", "tickets-aab222"]
    assert with_runs.run("latest").name == "blue-ccc333"


@pytest.mark.parametrize(
    ("name", "found"),
    [("tickets-aaa111", "tickets-aaa111"), ("blue", "blue-ccc333"), ("latest", "blue-ccc333")],
)
def test_a_run_is_found_by_name_beginning_or_latest(with_runs, name, found):
    assert with_runs.run(name) == with_runs.runs / found


@pytest.mark.parametrize("name", ["..", "../runs/blue-ccc333", ".", "", "half-made", "*", "blue-ccc333/"])
def test_a_run_name_is_never_a_path(with_runs, name):
    with pytest.raises(ResidencyError, match="There is no run"):
        with_runs.run(name)
    with pytest.raises(ResidencyError, match="There is no run"):
        with_runs.run(str(with_runs.runs / "blue-ccc333"))


def test_a_beginning_of_several_runs_is_refused(with_runs):
    with pytest.raises(ResidencyError) as caught:
        with_runs.run("tickets-")
    assert caught.value.what == "Several runs begin with 'tickets-'."
    assert "tickets-aaa111" in caught.value.fix


def test_no_runs_at_all(workspace):
    with pytest.raises(ResidencyError, match="none yet"):
        workspace.run("latest")
