"""Where in a text something stands that is not to be printed, and telling of it without printing it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from residency.core.records import Example, Message


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text: `text[start:end]`."""

    kind: str
    """What it is, in words a user reads: `e-mail`, `payment card`."""
    start: int
    end: int


_GAP = re.compile(r"[\s/-]+")

Finder = Callable[[str], Sequence[Span]]


def any_in(words: Iterable[str], text: str) -> bool:
    """Whether one of the words stands in the text: the cheap test before a careful one."""
    for word in words:  # noqa: SIM110, a generator takes twice the time
        if word in text:
            return True
    return False


def has_digit(text: str) -> bool:
    """Whether an ASCII digit stands in the text."""
    return any_in("0123456789", text)


def mask(text: str) -> str:
    """The first character and the last two: enough to find it in the row, too little to use it."""
    return f"{text[0]}…{text[-2:]}"


def tell_masked(example: Example, find: Finder) -> str | None:
    """What `find` finds in the example, masked: `input: e-mail 'j…om'; answer: phone '+…58'`."""
    answer = len(example.messages) - 1
    parts: dict[str, list[str]] = {}
    for place, turn in enumerate(example.messages):
        if spans := find(text := turn.text):
            parts.setdefault(_named(turn, place == answer), []).extend(_shown(text, spans))
    told = (f"{where}: {', '.join(dict.fromkeys(shown))}" for where, shown in parts.items())
    return "; ".join(told) or None


def ends(number: str) -> Iterator[int]:
    """Where a number written in groups may end, the longest first: what follows may be another number."""
    yield len(number)
    yield from reversed([gap.start() for gap in _GAP.finditer(number)])


def merge_overlaps(spans: Sequence[Span]) -> list[Span]:
    """In the order of the text; those that overlap are one, named after the longest, or the first found."""
    groups: list[list[Span]] = []
    end = 0
    for span in sorted(spans, key=lambda span: span.start):
        if groups and span.start < end:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span.end)
    return [_union(group) for group in groups]


def _union(spans: Sequence[Span]) -> Span:
    kind = max(spans, key=lambda span: span.end - span.start).kind
    return Span(kind, spans[0].start, max(span.end for span in spans))


def _named(turn: Message, is_answer: bool) -> str:
    if is_answer:
        return "answer"
    return "system" if turn.role == "system" else "input"


def _shown(text: str, spans: Sequence[Span]) -> list[str]:
    return [f"{span.kind} '{mask(text[span.start : span.end])}'" for span in spans]
