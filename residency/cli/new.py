"""`residency new`: a project folder from a file of examples."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from residency.pipeline.project import Kind


@click.command("new")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    help="The examples: a file, a folder, or hf:owner/name.",
)
@click.option(
    "--kind",
    type=click.Choice(["extract", "classify", "write", "chat"]),
    help="The sort of task; else guessed.",
)
@click.option("--input", "input_column", metavar="COLUMN", help="The column that holds the input.")
@click.option("--output", "output_column", metavar="COLUMN", help="The column that holds the answer.")
def command(
    folder: Path, source: Path, kind: Kind | None, input_column: str | None, output_column: str | None
) -> None:
    """Make DIR with a commented recipe, the examples, and instructions to edit."""
    from residency.pipeline.project import start_project

    made = start_project(folder, source, kind, (input_column, output_column))
    recipe = folder / "residency.toml"
    quoted = shlex.quote(str(recipe))
    click.echo(f"{folder}/ is made: {made}.")
    click.echo(f"1. Write down how the task is done: {folder / 'instructions.md'}")
    click.echo(f"2. Look over the recipe:            {recipe}")
    click.echo(f"3. Examine the examples:            residency check {quoted}")
    click.echo(f"4. Do it all:                       residency run {quoted}")
