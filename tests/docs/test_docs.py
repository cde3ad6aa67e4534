"""The pages are up to date, and every `$ residency` command in them does what the page shows."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from residency.cli import main
from residency.models.scripted import write_tiny_base
from tests.docs import check

PROJECT = Path(__file__).parent / "project"
SHOWN_FOLDER = "/home/you/my-task"
NOT_RUN = ("residency demo",)
TYPED = "Where is my parcel?\n\n"

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HASH = re.compile(r"-[0-9a-f]{6}(?:[0-9a-f]{10})?\b")


@dataclass
class Step:
    """A command of a page, the lines shown below it, and the exit code it is said to end with."""

    command: str
    shown: list[str] = field(default_factory=list)
    code: int = 0


def steps(page: str) -> list[Step]:
    """The `$ residency` commands of a page; `$ echo $?` below one shows its exit code."""
    found: list[Step] = []
    for block in _BLOCK.findall(page):
        current = Step("")
        asked_for_code = False
        for line in block.splitlines():
            if line == "$ echo $?":
                asked_for_code = True
            elif line.startswith("$ "):
                current, asked_for_code = Step(line[2:]), False
                found.append(current)
            elif asked_for_code:
                current.code = int(line)
            elif line.strip() and line.strip() != "...":
                current.shown.append(line.strip())
                if line.startswith("what:"):
                    current.code = 1
    return [s for s in found if s.command.startswith("residency ") and not s.command.startswith(NOT_RUN)]


PAGES = {page.relative_to(check.ROOT).as_posix(): steps(page.read_text()) for page in check.all_pages()}


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command line, run in this process."""
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    monkeypatch.setattr(sys, "stdin", io.StringIO(TYPED))
    with pytest.raises(SystemExit) as exit_:
        main()
    return int(exit_.value.code or 0)


def comparable(text: str) -> str:
    """Without what differs from run to run: the folder and the hashes in names."""
    return _HASH.sub("-HASH", text.replace(str(Path.cwd()), SHOWN_FOLDER))


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("RESIDENCY_HOME", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project on a tiny base, after its run."""
    folder = tmp_path_factory.mktemp("finished") / "my-task"
    shutil.copytree(PROJECT, folder)
    write_tiny_base(folder / "base")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        assert run("residency run residency.toml", monkeypatch) == 0
    return folder


@pytest.mark.parametrize("page", [page for page, found in PAGES.items() if found])
def test_commands_do_what_the_page_shows(
    page: str,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "my-task"))
    for step in PAGES[page]:
        capsys.readouterr()
        code = run(step.command, monkeypatch)
        output = "".join(capsys.readouterr())
        assert code == step.code, f"{step.command}\n{output}"
        printed = {line.strip() for line in comparable(output).splitlines()}
        missing = [line for line in step.shown if comparable(line) not in printed]
        assert not missing, f"{step.command}\nnot printed: {missing}\n{output}"


def test_every_stage_page_has_a_command() -> None:
    stages = ("check", "freeze", "plan", "baselines", "train", "compare", "verdict")
    assert [stage for stage in stages if not PAGES[f"docs/{stage}.md"]] == []


def test_generated_pages_are_up_to_date() -> None:
    assert list(check.stale_pages()) == []


@pytest.mark.parametrize("page", check.all_pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(check.dead_links(page)) == []


def test_a_dead_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# The one\n[a](page.md#the-one) [b](gone.md) [c](#two) [d](https://example.org)\n")
    assert list(check.dead_links(page)) == [
        "page.md: there is no gone.md",
        "page.md: page.md has no heading for #two",
    ]


def test_steps_are_read_from_console_blocks() -> None:
    block = ["$ residency a", "one", "...", "$ echo $?", "4", "$ ls", "$ residency b", "what: x"]
    page = "\n".join(["$ residency no", "```console", *block, "```", ""])
    assert steps(page) == [Step("residency a", ["one"], 4), Step("residency b", ["what: x"], 1)]
