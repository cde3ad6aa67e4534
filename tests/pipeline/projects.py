"""Small projects on the tiny base, and the command line called in this process."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from residency.cli import main

STAGES = ("check", "freeze", "baselines", "train", "compare", "recall")
FINISHED = "  finished before, not repeated"


def answers(number: int) -> dict[str, str]:
    """Row `number` of the little task: the colour of a thing says whether it is warm."""
    colour = ("red", "blue")[number % 2]
    return {"input": f"item {number} is {colour}", "output": "warm" if colour == "red" else "cold"}


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSONL."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_project(folder: Path, base: Path, rows: int = 36) -> Path:
    """A recipe with its rows and instructions that runs in a second; returns the recipe."""
    folder.mkdir(parents=True)
    write_rows(folder / "rows.jsonl", map(answers, range(rows)))
    (folder / "instructions.md").write_text("Say warm of what is red and cold of what is blue.\n")
    recipe = folder / "residency.toml"
    recipe.write_text(
        f"""[base]
model = {json.dumps(str(base))}
dtype = "float32"
[data]
train = "rows.jsonl"
[task]
name = "colours"
instructions = "instructions.md"
max_new_tokens = 6
[candidates]
few_shot = 2
[train]
rank = 2
alpha = 64
learning_rate = 0.1
epochs = 2
batch_size = 8
[regression]
suites = []
[verdict]
train_sample = 10
"""
    )
    return recipe


@dataclass(frozen=True)
class Called:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str

    def built(self) -> list[str]:
        """The stages that were built in this call."""
        lines = self.err.splitlines()
        return [a for a, b in zip(lines, lines[1:], strict=False) if a in STAGES and b != FINISHED]

    def kept(self) -> list[str]:
        """The stages that had been finished before."""
        lines = self.err.splitlines()
        return [a for a, b in zip(lines, lines[1:], strict=False) if a in STAGES and b == FINISHED]

    def mistake(self) -> dict[str, str]:
        """The three lines of one mistake; fails if stderr ends otherwise."""
        assert self.code == 1, self.err
        assert "Traceback" not in self.err
        lines = self.err.splitlines()[-3:]
        told = {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}
        assert list(told) == ["what", "where", "fix"], self.err
        assert all(told.values())
        return told


class Line:
    """The command line as `main` runs it, in this process, from `folder` and with its own workspace."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        self.folder, self.home = folder, home or folder / "home"

    def __call__(
        self, *arguments: object, stdin: str = "", patch: Callable[[pytest.MonkeyPatch], None] | None = None
    ) -> Called:
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as change,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            change.chdir(self.folder)
            change.setenv("RESIDENCY_HOME", str(self.home))
            change.setattr(sys, "argv", ["residency", *map(str, arguments)])
            change.setattr(sys, "stdin", io.StringIO(stdin))
            if patch:
                patch(change)
            with pytest.raises(SystemExit) as caught:
                main()
        return Called(int(caught.value.code or 0), out.getvalue(), err.getvalue())

    def files(self) -> set[str]:
        """Every file of the workspace but locks."""
        files = (f for f in self.home.rglob("*") if f.is_file() and f.suffix != ".lock")
        return {str(f.relative_to(self.home)) for f in files}
