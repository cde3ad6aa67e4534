"""`residency demo`: the packaged project, copied here and run."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from residency.cli.options import conclude


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(as_json: bool) -> int:
    """Copy the demo (support tickets) into ./residency-demo and run it; run again to go on."""
    from residency.core.workspace import unwritable

    folder = Path("residency-demo")
    if not folder.exists():
        try:
            shutil.copytree(demo_recipes() / "tickets", folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise unwritable(folder.absolute(), error) from error
        click.echo(
            f"Copied the demo to {folder}/: open residency.toml, tickets.jsonl, instructions.md.", err=True
        )
    return conclude(folder / "residency.toml", (), as_json, gate=False)


def demo_recipes() -> Path:
    """The recipes that the package carries; in a checkout they stand beside it."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "recipes"
    return packaged if packaged.is_dir() else package.parent / "recipes"
