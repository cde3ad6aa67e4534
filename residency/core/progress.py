"""Telling the user how long work takes: rich bars on a terminal, plain lines elsewhere.

Everything goes to stderr, so that stdout carries results only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from residency.core.processes import is_main

Advance = Callable[[int, str], None]
"""Called with how many units were done and a short note on them, which may be empty."""


class Reporter(Protocol):
    """What stages speak through."""

    def say(self, text: str) -> None:
        """One line for the user."""

    def track(self, title: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """A context manager that gives an `Advance` for `total` units of work."""


def no_progress(done: int, note: str) -> None:
    """An `Advance` that tells nobody."""


class Silent:
    """Says nothing: for tests and for use as a library."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def track(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Nothing."""
        yield no_progress


class PlainLines:
    """A line at most every `seconds` seconds, for logs and pipes."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds

    def say(self, text: str) -> None:
        """One line to stderr."""
        print(text, file=sys.stderr, flush=True)

    @contextmanager
    def track(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Lines with rate and time left."""
        begun = told = time.monotonic()
        finished = 0

        def advance(done: int, note: str) -> None:
            nonlocal finished, told
            finished += done
            now = time.monotonic()
            if now - told >= self.seconds and finished < total:
                told = now
                rate = finished / (now - begun)
                left = duration((total - finished) / rate) if rate else "?"
                self.say(f"  {title}: {finished}/{total} {unit}, {rate:.1f}/s, {left} left {note}".rstrip())

        yield advance
        self.say(f"  {title}: {finished} {unit} in {duration(time.monotonic() - begun)}")


class Bars:
    """Rich progress bars, for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """One line to stderr; markup in it is shown as it stands."""
        self.console.print(text, markup=False)

    @contextmanager
    def track(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """A bar with rate and time left; a line stays when it is done."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        begun = time.monotonic()
        finished = 0
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total, rate="", note="")

            def advance(done: int, note: str) -> None:
                nonlocal finished
                finished += done
                rate = finished / max(time.monotonic() - begun, 1e-9)
                progress.update(task, advance=done, rate=f"{rate:.1f}/s", note=note)

            yield advance
        self.say(f"  {title}: {finished} {unit} in {duration(time.monotonic() - begun)}")


def choose_reporter() -> Reporter:
    """Bars where stderr is a terminal, plain lines elsewhere; of many processes only one speaks."""
    if not is_main():
        return Silent()
    return Bars() if sys.stderr.isatty() else PlainLines()


_speaker: Reporter = Silent()


def speak_through(reporter: Reporter) -> None:
    """Let this process' `say` speak through `reporter`; until then it says nothing."""
    global _speaker
    _speaker = reporter


def say(text: str) -> None:
    """One line for the user, from where no reporter is at hand."""
    _speaker.say(text)


def duration(seconds: float) -> str:
    """`7.4 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
