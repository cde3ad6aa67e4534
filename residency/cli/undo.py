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

    written, rows, lost = undo_file(patch, out)
    click.echo(f"{plural(rows, 'row')} as before: {written}")
    if lost:
        click.echo(f"{plural(lost, 'row')} could not be read then, and stand in the original alone.")
