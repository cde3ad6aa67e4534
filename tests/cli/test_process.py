"""The command as a process of its own: start, exit codes, streams."""

import json
import os
import signal
import subprocess
import sys

from tests.pipeline.projects import Line, write_project


def call(*arguments, cwd, code=None, **options):
    command = [sys.executable, *(("-c", code) if code else ("-m", "residency")), *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("RESIDENCY_HOME", None)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False, **options
    )


def test_help_imports_nothing_heavy(tmp_path):
    code = """
import sys
sys.argv = ["residency", "--help"]
from residency.cli import main
try:
    main()
except SystemExit as stop:
    heavy = {"torch", "transformers", "peft", "pydantic", "scipy", "rich", "pyarrow"} & sys.modules.keys()
    print(stop.code, sorted(heavy), file=sys.stderr)
"""
    called = call(cwd=tmp_path, code=code)
    assert called.stderr == "0 []\n"
    assert called.stdout.startswith("Usage: residency ")
    assert "Exit codes: 0 done; 1 a mistake" in called.stdout


def test_a_base_that_is_not_there(tmp_path):
    recipe = write_project(tmp_path / "my project", tmp_path / "gone")
    called = call("run", recipe, "--set", "base.model=nobody/nothing", cwd=tmp_path)
    assert called.returncode == 1
    assert called.stdout == ""
    assert [line.split(":")[0] for line in called.stderr.splitlines()] == ["what", "where", "fix"]
    assert "where: base.model: nobody/nothing" in called.stderr
    assert "name a folder, or use the packaged base" in called.stderr
    assert not (tmp_path / ".residency" / "runs").exists()


def test_a_bug_ends_with_its_traceback_and_code_2(tmp_path):
    code = """
import residency.cli.runs
from residency.cli import main
from residency.core.workspace import Workspace
def broken(*_):
    raise RuntimeError("a bug")
Workspace.run_names = broken
main()
"""
    called = call("runs", cwd=tmp_path, code=code)
    assert called.returncode == 2
    assert called.stdout == ""
    assert called.stderr.startswith("Traceback (most recent call last):")
    assert "RuntimeError: a bug" in called.stderr


def test_a_mistake_ends_with_three_lines_and_code_1(tmp_path):
    called = call("run", "gone.toml", cwd=tmp_path)
    assert called.returncode == 1
    assert called.stderr.splitlines() == [
        "what:  There is no such recipe.",
        "where: gone.toml",
        "fix:   Name the recipe's file, or make one: residency new my-task --from examples.jsonl",
    ]


def test_a_signal_from_the_keyboard_ends_cleanly(tmp_path, tiny_base):
    """A real Ctrl-C in the real process, sent by the training step itself."""
    recipe = write_project(tmp_path / "project", tiny_base)
    code = f"""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background has it ignored
from residency.cli import main
from residency.training.loop import Trainer
whole = Trainer.step
def step(self, number):
    if number == 5:
        os.kill(os.getpid(), {int(signal.SIGINT)})
    return whole(self, number)
Trainer.step = step
main()
"""
    stopped = call("run", recipe, "--json", cwd=tmp_path, code=code)
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stdout == ""
    assert "Run the same command to go on" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "Warning" not in stopped.stderr
    (run,) = (tmp_path / ".residency" / "runs").glob("*/run.json")
    assert json.loads(run.read_text())["status"] == "interrupted"
    again = Line(tmp_path, tmp_path / ".residency")("run", recipe, "--json")
    assert "resumed after step 4 of 8" in again.err
    assert json.loads(again.out)["training"]["steps"] == 8
    assert again.code == 0


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        called = subprocess.run(
            [sys.executable, "-m", "residency", "schema", "recipe"],
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=900,
            check=False,
        )
    assert (called.returncode, called.stderr) == (0, "")
