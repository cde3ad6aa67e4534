"""System prompts that are nearly the one that other rows have, and rows that stand alone with theirs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from residency.core.recipe import Data
from residency.data.checks.format_norm import CLEAR, LEAST
from residency.data.checks.registry import file_check
from residency.data.findings import Flag
from residency.data.rows import Rows, system_of

_ALIKE = 95
"""From this likeness on, of 100, two prompts are taken for one with a slip in it."""
_TIMES = 5
"""A prompt is a slip of another only where the other stands in so many times as many rows."""
_COMPARED = 50
"""The commonest prompts, which the others are held against."""
_MOST = 1000
"""With more prompts than these they are written row by row, and differ on purpose."""
_SPACE = re.compile(r"\s+")
_DIGITS = re.compile(r"\d+")


@file_check(
    "system-drift",
    "warning",
    meaning="the system prompt is not the one that the other rows have.",
    fix="Give these rows the system prompt of the others, which the model will be asked with too.",
)
def system_drift(rows: Rows, data: Data) -> Iterator[Flag]:
    """Prompts that differ from a commoner one by a typo or a blank; and any but that of nine of ten rows."""
    _, first, number = np.unique(rows.table["system"], return_index=True, return_inverse=True)
    if not 2 <= len(first) <= _MOST:
        return
    systems = [system_of(rows[place].example) for place in first.tolist()]
    times = np.bincount(number)
    order = np.lexsort((first, -times))
    counts = Counter({systems[which]: int(times[which]) for which in order.tolist()})
    ranked = counts.most_common()
    common = [system for system, count in ranked[:_COMPARED] if system and count >= _TIMES]
    slips = {system: twin for system, count in ranked if (twin := _twin(system, count, common, counts))}
    usual, most = ranked[0]
    clear = len(rows) >= LEAST and most >= CLEAR * len(rows)
    stands = {system: rows.source(place) for system, place in zip(systems, first.tolist(), strict=True)}
    odd = [place for place, system in enumerate(systems) if system in slips or (clear and system != usual)]
    for place in np.flatnonzero(np.isin(number, odd)).tolist():
        system, source = systems[number[place]], rows.source(place)
        if twin := slips.get(system):
            yield Flag(source, _difference(system, twin), stands[twin], suspicion=0.7)
        else:
            yield Flag(source, f"{_say(system)}; most rows: {_say(usual)}", stands[usual], 0.4)


def _twin(system: str, count: int, common: Sequence[str], counts: Counter[str]) -> str | None:
    """The commoner prompt that this one is a slip of; numbers that differ are meant to."""
    from rapidfuzz import fuzz, process

    digits = _DIGITS.findall(system)
    candidates = [
        other for other in common if counts[other] >= _TIMES * count and _DIGITS.findall(other) == digits
    ]
    found = process.extractOne(system, candidates, scorer=fuzz.ratio, score_cutoff=_ALIKE)
    return found[0] if found else None


def _difference(system: str, twin: str) -> str:
    if _SPACE.sub("", system) == _SPACE.sub("", twin):
        return f"differs in blanks alone from {_say(twin)}"
    at = next(
        (i for i, (a, b) in enumerate(zip(system, twin, strict=False)) if a != b), min(len(system), len(twin))
    )
    begin = max(0, at - 10)
    return f"{system[begin : at + 20]!r}; most rows: {twin[begin : at + 20]!r}"


def _say(system: str) -> str:
    return repr(system if len(system) <= 40 else system[:39] + "…") if system else "no system prompt"
