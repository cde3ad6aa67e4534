"""`residency baseline`: what the base does without training."""

from __future__ import annotations

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
    from residency.verdict.decide import summarise
    from residency.verdict.terminal import candidates_table

    workflow = open_workflow(recipe, overrides)
    folder = workflow.upto("baselines")
    rows = [Scored.from_json(row) for row in read_jsonl(folder / "scored.jsonl")]
    summaries = summarise(rows, workflow.recipe.verdict.confidence)
    if as_json:
        print_json({"candidates": [summary.model_dump(mode="json") for summary in summaries]})
        return
    Console().print(candidates_table(summaries))
    click.echo(f"Every answer with its score: {folder / 'scored.jsonl'}")
