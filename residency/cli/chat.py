"""`residency chat`: talk to a tuned model."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from residency.cli.options import open_reporter


@click.command("chat")
@click.argument("name", metavar="RUN|MODEL")
@click.option("--compare", is_flag=True, help="Show the base's answer beside the tuned one's.")
@click.option("--max-new-tokens", type=click.IntRange(1, 32768), help="Longest answer in tokens.")
def command(name: str, compare: bool, max_new_tokens: int | None) -> None:
    """Talk to the tuned model of RUN, or to the base called MODEL.

    For a task of the kind 'chat' the conversation goes on, and /new begins another; else every line
    is a conversation of its own, as the model was trained. An empty line or Ctrl-D ends.
    """
    from residency.core.errors import ResidencyError
    from residency.core.progress import no_progress
    from residency.core.records import Example, Message, Source
    from residency.core.workspace import Workspace
    from residency.pipeline.talk import open_talk

    open_reporter()
    talk = open_talk(Workspace.find(), name, compare)
    click.echo(f"{talk.title}. An empty line ends.", err=True)
    turns: tuple[Message, ...] = ()
    for line in _lines():
        if line == "/new":
            turns = ()
            continue
        asked = (*turns, Message("user", line))
        example = Example((*asked, Message("assistant", "")), Source("chat", 1))
        room = max_new_tokens or talk.max_new_tokens
        try:
            answers = [(v.name, v.answer([example], room, no_progress)[0].text) for v in talk.voices]
        except ResidencyError as error:
            click.echo(f"{error}\nThis line was not asked; /new begins another conversation.", err=True)
            continue
        for speaker, text in answers:
            click.echo(f"[{speaker}]\n{text}\n" if compare else f"{text}\n")
        if talk.goes_on:
            turns = (*asked, Message("assistant", answers[-1][1]))


def _lines() -> Iterator[str]:
    """What the user types, or the lines of a pipe."""
    while True:
        if sys.stdin.isatty():
            click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline().strip()
        if not line:
            return
        yield line
