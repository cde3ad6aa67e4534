"""`residency run`: the whole workflow."""

from __future__ import annotations

from pathlib import Path

import click

from residency.cli.options import conclude, gated, on_recipe


@click.command("run")
@on_recipe
@gated
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool, gate: bool) -> int:
    """Do the whole workflow of RECIPE; stages that are finished for the same inputs are not repeated."""
    return conclude(recipe, overrides, as_json, gate)
