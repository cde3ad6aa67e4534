"""`residency compare`: base, baselines and tuned model on the frozen test, and the verdict."""

from __future__ import annotations

from pathlib import Path

import click

from residency.cli.options import conclude, gated, on_recipe


@click.command("compare")
@on_recipe
@gated
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool, gate: bool) -> int:
    """Compare all candidates of RECIPE and give the verdict; stages still missing are done first."""
    return conclude(recipe, overrides, as_json, gate)
