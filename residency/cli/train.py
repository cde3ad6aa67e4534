"""`residency train`: tune the model."""

from __future__ import annotations

from pathlib import Path

import click

from residency.cli.options import on_recipe, open_workflow, print_json


@click.command("train")
@on_recipe
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Tune the base of RECIPE on its training rows; an interrupted training goes on where it was."""
    from residency.core.workspace import read_json

    folder = open_workflow(recipe, overrides).upto("train")
    training = {**read_json(folder / "training.json"), "adapter": str(folder / "adapter")}
    if as_json:
        print_json(training)
        return
    best = min(training["curve"], key=lambda point: point["validation_loss"])
    click.echo(
        f"{training['steps']} steps in {training['seconds']:.0f} s, "
        f"{training['peak_memory_gib']:.2f} GiB of memory; validation loss lowest at step "
        f"{best['step']}: {best['validation_loss']:.4f}"
    )
    click.echo(f"Adapter (PEFT format): {training['adapter']}")
