"""`residency baseline`: what the base does without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from residency.cli.options import on_recipe, open_workflow, print_json


@click.command("baseline")
@on_recipe
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Ask the base of RECIPE, plain and with the instructions, to answer the frozen test rows."""
    from rich.console import Console

    from residency.core.workspace import read_jsonl
    from residency.evals.scored import Scored
    from residency.pipeline.conclude import incomplete_of
    from residency.verdict.decide import summarise
    from residency.verdict.figures import incomplete
    from residency.verdict.part import Part
    from residency.verdict.remote_costs import add_costs
    from residency.verdict.terminal import candidates_table

    workflow = open_workflow(recipe, overrides)
    files = [folder / "scored.jsonl" for folder in workflow.upto("baselines")]
    rows = [Scored.from_json(row) for file in files for row in read_jsonl(file)]
    found = summarise(rows, workflow.recipe.verdict.confidence)
    summaries = add_costs(found, rows, workflow.recipe.candidates)
    stopped = incomplete_of(workflow.prompted)
    if as_json:
        parts: dict[str, Sequence[Part]] = {"candidates": summaries, "incomplete": stopped}
        print_json({key: [part.model_dump(mode="json") for part in told] for key, told in parts.items()})
        return
    Console().print(candidates_table(summaries))
    for part in stopped:
        click.echo(incomplete(part))
    click.echo(f"Every answer with its score: {', '.join(map(str, files))}")
