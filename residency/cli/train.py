"""`residency train`: tune the model."""

from __future__ import annotations

from pathlib import Path

import click

from residency.cli.options import on_recipe, open_workflow, print_json


@click.command("train")
@on_recipe
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Tune the base of RECIPE on its training rows; an interrupted training goes on where it was."""
    from rich.console import Console

    from residency.core.processes import is_main
    from residency.core.workspace import read_json
    from residency.models.artifact import artifact_folder
    from residency.verdict.report_schema import TrialPart
    from residency.verdict.terminal import sweep_table

    workflow = open_workflow(recipe, overrides)
    (folder,) = workflow.upto("train")
    if not is_main():
        return
    artifact = artifact_folder(folder, workflow.recipe.train.method)
    training = {**read_json(folder / "training.json"), "artifact": str(artifact)}
    if as_json:
        print_json(training)
        return
    best = next(point for point in training["curve"] if point["step"] == training["best_step"])
    score = "" if best["score"] is None else f", score {best['score']:.3f}"
    click.echo(
        f"{training['steps']} steps in {training['seconds']:.0f} s, {training['peak_memory_gib']:.2f} GiB of "
        f"memory; step {best['step']} is kept: validation loss {best['validation_loss']:.4f}{score}"
    )
    if training["overfits_since"] is not None:
        click.echo(f"It overfits since step {training['overfits_since']}.")
    if training.get("sweep"):
        Console().print(sweep_table([TrialPart.model_validate(trial) for trial in training["sweep"]]))
    kind = "Model" if training["method"] == "full" else "Adapter (PEFT format)"
    click.echo(f"{kind}: {artifact}")
