"""Options that several verbs share, and how their results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from residency.core.progress import Reporter
    from residency.core.recipe import Recipe
    from residency.pipeline.workflow import Workflow
    from residency.verdict.report_schema import Report

Command = Callable[..., Any]


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
with_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a key."
)


def on_recipe(command: Command) -> Command:
    """RECIPE, --set and --json."""
    return click.argument("recipe", type=click.Path(path_type=Path))(with_overrides(_as_json(command)))


def on_data(command: Command) -> Command:
    """DATA, which is a recipe or a bare file of examples, --test, --validation, --set and --json."""
    for option in (
        _as_json,
        with_overrides,
        click.option("--validation", type=click.Path(path_type=Path), help="A validation file of your own."),
        click.option("--test", type=click.Path(path_type=Path), help="A test file of your own."),
        click.argument("data", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def gated(command: Command) -> Command:
    """--gate."""
    text = "Exit with 3 if the verdict is 'do not ship' and 4 if it is 'cannot tell'."
    return click.option("--gate", is_flag=True, help=text)(command)


def open_workflow(recipe: Path, overrides: tuple[str, ...]) -> Workflow:
    """The workflow of a recipe in the nearest workspace."""
    from residency.core.recipe_file import load_recipe

    return _workflow(load_recipe(recipe, overrides))


def open_data(data: Path, test: Path | None, validation: Path | None, overrides: tuple[str, ...]) -> Workflow:
    """The workflow of a recipe, or that of a bare file of examples with the default recipe."""
    from residency.core.recipe_file import default_recipe, load_recipe

    for key, file in (("test", test), ("validation", validation)):
        if file is not None:
            overrides = (*overrides, f"data.{key}={file}")
    is_recipe = data.suffix == ".toml" or (data / "residency.toml").is_file()
    return _workflow(load_recipe(data, overrides) if is_recipe else default_recipe(data, overrides))


def _workflow(recipe: Recipe) -> Workflow:
    from residency.core.workspace import Workspace
    from residency.pipeline.workflow import Workflow

    return Workflow(recipe, Workspace.find(), open_reporter())


def open_reporter() -> Reporter:
    """The one through which all of this command speaks."""
    from residency.core.progress import choose_reporter, speak_through

    reporter = choose_reporter()
    speak_through(reporter)
    return reporter


def print_json(content: Any) -> None:
    """One document on stdout."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def conclude(recipe: Path, overrides: tuple[str, ...], as_json: bool, gate: bool) -> int:
    """Run a workflow to its verdict, print it, and give the exit code."""
    from residency.core.processes import is_main
    from residency.core.workspace import read_json

    workflow = open_workflow(recipe, overrides)
    folder = workflow.conclude()
    if not is_main():
        return 0
    content = read_json(folder / "report.json")
    if as_json:
        print_json(content)
    else:
        print_report(read_report(workflow.folder), workflow.folder)
    codes = {"ship": 0, "do not ship": 3, "cannot tell": 4}
    return codes[content["verdict"]["gate"]] if gate else 0


def read_report(folder: Path) -> Report:
    """The report of the run in `folder`.

    Raises:
        ResidencyError: there is none, or it was made by another version.
    """
    from pydantic import ValidationError

    from residency.core.errors import ResidencyError
    from residency.core.workspace import read_json, reading
    from residency.verdict.report_schema import Report

    file = folder / "report.json"
    if not file.is_file():
        raise ResidencyError("This run has no verdict yet.", str(folder), "Run its recipe to the end.")
    try:
        with reading(file):
            content = read_json(file)
        return Report.model_validate(content)
    except ValidationError:
        fix = "Run its recipe again with this version."
        raise ResidencyError("This report was made by another version.", str(folder), fix) from None


def print_report(report: Report, folder: Path) -> None:
    """The report in short, and where the long one is."""
    from rich.console import Console

    from residency.verdict.terminal import render_terminal

    render_terminal(report, Console())
    click.echo(f"Report   {folder / 'report.html'}")
    click.echo(f"Chat     residency chat {report.run}")
