"""`residency iterate`: from a run's failures to better data, and what a model trained on it does better."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from residency.cli.options import on_recipe, open_workflow, print_json

if TYPE_CHECKING:
    from residency.pipeline.iterating import Outcome, Passes, Start
    from residency.pipeline.reviewing import Review
    from residency.verdict.proposals import Proposal

_LEAST = 0.5
"""Suspicion from which on a suggestion is accepted unasked."""
_SHOWN = 3
"""Rows won and lost shown in the terminal."""
_FRESH = (
    "Figures that changes are chosen by grow too good (Dwork et al. 2015, Science 349:636): "
    "choose on validation, and take a fresh test for the last word."
)


@click.command("iterate")
@on_recipe
@click.option(
    "--suspicion",
    type=click.FloatRange(0, 1),
    help="With --accept: the least at which a suggestion is taken, 0.5 if not given.",
)
@click.option(
    "--accept",
    type=click.Choice(["suggested"]),
    help="Take every suggested answer of a row that is suspected enough, and ask nothing.",
)
@click.option("--run", metavar="RUN", help="The run to start from; else the newest one of RECIPE.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    as_json: bool,
    run: str | None,
    accept: Literal["suggested"] | None,
    suspicion: float | None,
) -> None:
    """Judge the training rows of RECIPE that failures blame, train on the mended file, tell the change.

    What is proposed comes from validation rows and checks of the training rows, never from the test.
    With --json nothing is asked: what was decided before, or is accepted, is done.
    """
    from residency.pipeline import iterating

    if suspicion is not None and not accept:
        raise click.UsageError("--suspicion goes with --accept suggested.")
    least = _LEAST if suspicion is None else suspicion
    start = iterating.find_start(open_workflow(recipe, overrides), run)
    proposals, passes = iterating.read_proposals(start), iterating.count_passes(start.workflow)
    review = iterating.open_proposals(start, proposals)
    if not as_json:
        _tell_start(start, passes, review)
    if accept:
        accepted = iterating.accept_suggested(review, least)
        if not as_json:
            click.echo(f"{accepted:,} of them accepted: suggested, at a suspicion of {least:g} or more.")
    elif not as_json:
        _ask(review)
    mended = iterating.mend(start)
    outcome = iterating.retrain(start, mended) if mended else None
    if as_json:
        print_json(_document(start, proposals, passes, outcome))
    elif outcome is None:
        click.echo(
            "Nothing to fix was accepted; nothing was trained."
            if review.suspects
            else "Nothing to fix; nothing was trained."
        )
    else:
        _tell(outcome, recipe)


def _document(
    start: Start, proposals: Sequence[Proposal], passes: Passes, outcome: Outcome | None
) -> Mapping[str, object]:
    return {
        "from": start.workflow.name,
        "iteration": start.iterations + 1,
        "validation": passes.__dict__,
        "proposals": [proposal.to_json() for proposal in proposals],
        "outcome": outcome and outcome.to_json(),
    }


def _tell_start(start: Start, passes: Passes, review: Review) -> None:
    from residency.data.findings import plural

    click.echo(f"Iteration {start.iterations + 1}, from run {start.workflow.name}.")
    click.echo(
        f"{plural(passes.n - passes.passed, 'failure')} on {plural(passes.n, 'validation row')}; "
        f"{plural(len(review.suspects), 'training row')} to judge by them and by the checks of the training "
        "rows. The test rows have no part in it."
    )
    if review.decided_before:
        click.echo(f"{plural(review.decided_before, 'row')} decided before, not asked again.")


def _ask(review: Review) -> None:
    from rich.console import Console

    from residency.cli.review import step_through
    from residency.data.findings import plural

    if decided := step_through(review, Console(highlight=False)):
        click.echo(f"{plural(decided, 'row')} decided: {review.decisions}")


def _tell(outcome: Outcome, recipe: Path) -> None:
    from rich.console import Console

    from residency.pipeline.iterating import WORN
    from residency.verdict.figures import percent
    from residency.verdict.terminal import candidates_table, comparisons_table

    change, console = outcome.change, Console()
    before, after = change.candidates
    console.print(candidates_table([before, after.model_copy(update={"name": "after"})]))
    console.print(comparisons_table([change.comparison.model_copy(update={"b": "after"})]))
    _tell_rows("right now, wrong before", change.gained)
    _tell_rows("wrong now, right before", change.lost)
    shares = [percent(passes.passed / passes.n) for passes in (outcome.before, outcome.after) if passes.n]
    if shares:
        click.echo(f"Validation  {' → '.join(shares)}, by which the rows were chosen")
    click.echo(f"Run         {outcome.workflow.name}")
    click.echo(f"New file    {outcome.mended.out}")
    click.echo(f"Take back   residency undo {shlex.quote(str(outcome.mended.patch))}")
    click.echo(f"Test        looked at by {outcome.looks} runs of this workspace")
    if outcome.looks >= WORN:
        click.echo(f"This test wears out. {_FRESH}")
    click.echo(f"Go on       residency iterate {shlex.quote(str(recipe))}")
    click.echo(outcome.sentence)


def _tell_rows(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    if not rows:
        return
    click.echo(f"{len(rows):,} {title}:")
    for row in rows[:_SHOWN]:
        click.echo(f"  {row['source']}: {row['before']!r} → {row['after']!r}, wanted {row['expected']!r}")
    if len(rows) > _SHOWN:
        click.echo(f"  and {len(rows) - _SHOWN:,} more")
