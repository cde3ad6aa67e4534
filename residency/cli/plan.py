"""`residency plan`: what training will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from residency.cli.options import on_recipe, open_workflow, print_json

if TYPE_CHECKING:
    from residency.core.recipe import Recipe
    from residency.pipeline.plan import Forecast, Memory


@click.command("plan")
@on_recipe
def command(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Tell memory, time and cost of training RECIPE, from a short probe on this machine.

    Time and cost are those of training to the last epoch, the learning curve's parts included where one is
    wanted; what is not in is told.
    """
    workflow = open_workflow(recipe, overrides)
    forecast = workflow.forecast()
    price = workflow.recipe.prices.hour
    if as_json:
        print_json({**forecast.to_json(), "cost": None if price is None else forecast.time.cost(price)})
        return
    for name, text in (
        *_amounts(forecast),
        *_memory(forecast.memory),
        *_time(forecast, workflow.recipe),
    ):
        click.echo(f"{name:<15}{text}")
    if not forecast.memory.fits:
        click.echo("\nThis may not fit into memory. To change, and what it would come to:")
        for change in forecast.advice:
            click.echo(f"  {change}")


def _amounts(forecast: Forecast) -> list[tuple[str, str]]:
    return [
        ("rows", f"{forecast.rows:,} to train on, {forecast.validation_rows:,} to validate"),
        ("test", _test(forecast)),
        (
            "tokens",
            f"{forecast.tokens:,} an epoch, {forecast.supervised_tokens:,} of them learned; "
            f"{forecast.packed_tokens:,} computed, since rows share prefixes",
        ),
        ("steps", f"{forecast.steps:,}, {forecast.evaluations:,} validations"),
    ]


def _test(forecast: Forecast) -> str:
    """What the test rows can tell, before anything is asked of them."""
    told = (
        f"{'no difference' if least is None else f'a difference of {100 * least:.1f} points'} where two "
        f"candidates disagree on {100 * differ:.0f} % of them"
        for differ, least in forecast.detectable.items()
    )
    return f"{forecast.test_rows:,} rows tell {', '.join(told)}"


def _memory(memory: Memory) -> list[tuple[str, str]]:
    from residency.pipeline.plan import GIB

    def amount(size: int) -> str:
        return f"{size / GIB:.2f} GiB"

    checkpointed = "on" if memory.gradient_checkpointing else "off"
    parts = (
        ("program", memory.program, ""),
        ("weights", memory.weights, ""),
        ("adapter", memory.adapter, ""),
        ("gradients", memory.gradients, ""),
        ("optimiser", memory.optimizer, ""),
        (
            "activations",
            memory.activations.at(memory.tokens),
            f", {memory.tokens:,} tokens at a time, gradient checkpointing {checkpointed}",
        ),
        ("allocator", memory.allocator, ""),
    )
    return [
        ("memory", f"about {amount(memory.total)}; {amount(memory.free)} are free before training"),
        *((f"  {name}", f"{amount(size)}{note}") for name, size, note in parts),
    ]


def _time(forecast: Forecast, recipe: Recipe) -> list[tuple[str, str]]:
    from residency.core.money import amount
    from residency.core.progress import duration

    time, price = forecast.time, recipe.prices.hour
    parts = (
        f"steps {duration(time.steps)}, validation {duration(time.validation)}, "
        f"checkpoints {duration(time.checkpoints)}"
    )
    if recipe.verdict.learning_curve:
        parts += f", learning curve {duration(time.learning_curve)}"
    lines = [("time", f"{duration(time.total)} at most: {parts}")]
    if price is not None:
        lines.append(
            ("cost", f"{amount(time.cost(price), recipe.prices.currency)} at most, at {price:g} an hour")
        )
    left_out = [f"baselines and comparison, each answering {forecast.test_rows:,} test rows"]
    if recipe.verdict.learning_curve:
        left_out.append("the answers of the learning curve's parts")
    if recipe.regression.suites:
        left_out.append("the suites")
    if recipe.train.watch == "score":
        left_out.append("answers to validation rows while training")
    if recipe.sweep.varied:
        left_out.append("the sweep's other configurations")
    return [*lines, ("not in", "; ".join(left_out))]
