from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from residency.models.scripted import write_tiny_base
from tests.objectives import own_objectives as own_objectives
from tests.pipeline.projects import Called, Line, write_project


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> Path:
    return write_tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def recipe(tmp_path, tiny_base) -> Path:
    return write_project(tmp_path / "project", tiny_base)


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


class Done(NamedTuple):
    """A run that is done; tests may add to its workspace but not break it."""

    recipe: Path
    line: Line
    called: Called

    @property
    def folder(self) -> Path:
        (folder,) = (self.line.home / "runs").glob(self.name)
        return folder

    @property
    def name(self) -> str:
        return next(text.split()[1] for text in self.called.out.splitlines() if text.startswith("Run "))

    def stage(self, name: str) -> Path:
        """The folder of the only stage of that name."""
        (folder,) = (self.line.home / "stages").glob(f"{name}-*")
        return folder


def run_once(folder: Path, base: Path) -> Done:
    torch.set_num_threads(1)
    recipe = write_project(folder / "project", base)
    line = Line(folder)
    return Done(recipe, line, line("run", recipe))


@pytest.fixture(scope="session")
def done(tmp_path_factory, tiny_base) -> Done:
    return run_once(tmp_path_factory.mktemp("done"), tiny_base)
