"""`residency review`: judge the suspected rows one by one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from residency.cli.options import open_data, with_overrides

if TYPE_CHECKING:
    from rich.console import Console

    from residency.core.records import Example
    from residency.data.mending.review import Suspect
    from residency.pipeline.reviewing import Review

_KEYS = "[k]eep  [d]rop  [e]dit the answer  [s]kip  [b]ack  [q]uit"
_ACCEPT = "[a]ccept the suggestion  "


@click.command("review")
@click.argument("data", type=click.Path(path_type=Path))
@with_overrides
def command(data: Path, overrides: tuple[str, ...]) -> None:
    """Go through the suspected rows of DATA, a recipe or a file of examples, the most suspected first.

    Every decision is saved at once in DATA.decisions.jsonl, and `residency check DATA --fix` applies it.
    Without a terminal a line stands for a key, and the line after an `e` is the new answer.
    """
    from rich.console import Console

    from residency.data.findings import plural
    from residency.pipeline.reviewing import open_review

    workflow = open_data(data, None, None, overrides)
    review = open_review(workflow.recipe.data, workflow.examine())
    if review.decided_before:
        click.echo(f"{plural(review.decided_before, 'row')} decided before, not asked again.")
    decided = step_through(review, Console(highlight=False))
    if not (decided or review.decided_before):
        click.echo("Nothing decided." if review.suspects else "Nothing to review.")
        return
    if decided:
        click.echo(f"{plural(decided, 'row')} decided: {review.decisions}")
    click.echo(f"Apply: residency check {data} --fix")


def step_through(review: Review, console: Console) -> int:
    """Ask about each row until the last one or `quit`; how many were decided."""
    from residency.core.errors import ResidencyError

    decided: dict[int, str] = {}
    place = 0
    while place < len(review.suspects):
        suspect = review.suspects[place]
        _show(review, suspect, f"{place + 1} of {len(review.suspects)}", decided.get(place), console)
        key = _read_key()
        if key == "q":
            break
        if key == "b":
            place = max(0, place - 1)
            continue
        try:
            if key == "k":
                review.decide(suspect, "keep")
            elif key == "d":
                review.decide(suspect, "drop")
            elif key == "a" and suspect.answer is not None:
                review.decide(suspect, "edit", suspect.answer)
            elif key == "e":
                review.decide(suspect, "edit", _read_answer(review.examples[suspect.source].answer))
            elif key != "s":
                click.echo(f"The keys are {_keys(suspect)}")
                continue
        except ResidencyError as error:
            click.echo(str(error))
            continue
        if key != "s":
            decided[place] = {"k": "keep", "d": "drop", "e": "edit", "a": "edit"}[key]
        place += 1
    return len(decided)


def _show(review: Review, suspect: Suspect, where: str, decided: str | None, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    before = f"   decided: {decided}" if decided else ""
    console.rule(
        Text(f"{where}   {suspect.source}   suspicion {suspect.suspicion:.2f}{before}"), align="left"
    )
    for reason in suspect.reasons:
        other = f" (see {reason.other})" if reason.other else ""
        console.print(Text.assemble((reason.check, "bold"), f": {reason.detail}".rstrip(": "), other))
    others = dict.fromkeys(r.other for r in suspect.reasons if r.other in review.examples)
    shown = [suspect.source, *(other for other in others if other)]
    table = Table(show_lines=True, expand=True)
    table.add_column("", no_wrap=True)
    for source in shown:
        table.add_column(Text(str(source)), ratio=1, overflow="fold")
    examples = [review.examples[source] for source in shown]
    table.add_row("input", *(Text(_prompt(example)) for example in examples))
    table.add_row("answer", *(Text(example.answer, style="bold") for example in examples))
    console.print(table)
    if suspect.answer is not None:
        begin = "\n" if "\n" in suspect.answer else " "
        console.print(Text.assemble("suggested answer:", begin, (suspect.answer, "bold")))
    console.print(Text(_keys(suspect), style="dim"))


def _keys(suspect: Suspect) -> str:
    return _KEYS if suspect.answer is None else _ACCEPT + _KEYS


def _prompt(example: Example) -> str:
    if len(example.prompt) == 1:
        return example.prompt[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in example.prompt)


def _read_key() -> str:
    """One key of a terminal, or the first letter of a line; the end of the input quits."""
    if sys.stdin.isatty():
        return click.getchar().lower()
    line = sys.stdin.readline()
    return line.strip()[:1].lower() if line else "q"


def _read_answer(answer: str) -> str:
    """The new answer: from $EDITOR where there is one, else a line."""
    if sys.stdin.isatty() and (os.environ.get("VISUAL") or os.environ.get("EDITOR")):
        edited = click.edit(answer)
        return answer if edited is None else edited.removesuffix("\n")
    if sys.stdin.isatty():
        click.echo("New answer: ", nl=False)
    return sys.stdin.readline().removesuffix("\n")
