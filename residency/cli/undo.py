"""`residency undo`: take a mending back."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("undo")
@click.argument("patch", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; else FILE.undone.jsonl.")
def command(patch: Path, out: Path | None) -> None:
    """Write the rows as they were before `residency check --fix`, from its PATCH and the file beside it."""
    from residency.data.findings import plural
    from residency.pipeline.mending import undo_file

    undone = undo_file(patch, out)
    click.echo(f"{plural(undone.rows, 'row')} as before: {undone.out}")
    if undone.lost:
        click.echo(f"{plural(undone.lost, 'row')} could not be read then, and stand in the original alone.")
    if undone.original_edited:
        click.echo("The original was edited since, and holds other rows than these.")
