"""Rows that say the same, or ask the same or in the same words. All functions are pure."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from residency.core.records import Example, fingerprint

Hashes = NDArray[np.uint64]
"""What rows are compared by: one of each row, in their order."""
_MEANINGFUL = frozenset(".,:-\u2013%&#@*/\\")
"""Marks kept by `wording`: C# is not C, 3-2 not 32."""
_LOOSE = re.compile(r"[.,:\-\u2013](?!\d)")
"""Of the marks kept, those that count only in front of a digit."""
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\S*\d\S*")


class _Blanks(dict[int, int]):
    """For `str.translate`: punctuation, currency signs and control characters become spaces."""

    def __missing__(self, code: int) -> int:
        category = unicodedata.category(chr(code))
        blank = category == "Sc" or (category[0] in "PC" and chr(code) not in _MEANINGFUL)
        self[code] = ord(" ") if blank else code
        return self[code]


_BLANKS = _Blanks()
_PLAIN_BLANKS = bytes(
    ord(" ") if _LOOSE.match(chr(code)) or code > 127 else _BLANKS[code] for code in range(256)
)
"""The same for ASCII without digits, of which no mark can stand in front of one: a third of the time."""


def wording(example: Example) -> str:
    """Hash of the prompt's words: rows that differ in case, spacing or punctuation alone share it.

    Plain text has no prompt, and its words are taken.

    Rows with the same `input_id` share it too, so it is the group that a split keeps together.
    """
    return fingerprint(words(example))


def words(example: Example) -> str:
    """The prompt's words, a turn a line behind its role."""
    turns = example.messages if example.is_text else example.prompt
    return "\n".join(f"{turn.role} {_words(turn.text)}" for turn in turns)


def same_words(one: str, other: str) -> bool:
    """Whether two texts differ in case, spacing or punctuation alone, if at all."""
    return one == other or _words(one) == _words(other)


def quotes(text: str, said: str) -> bool:
    """Whether the words of `said` stand in `text`, one after the other."""
    words = _words(said)
    return bool(words) and f" {words} " in f" {_words(text)} "


def split_words(words: str) -> tuple[str, str]:
    """What may differ a little between near duplicates, and what may not.

    System prompts and numbers may not: the same question under other instructions, or on another
    amount, has another answer.
    """
    turns = words.split("\n")
    roles = [turn.partition(" ")[0] for turn in turns]
    free = " ".join(turn.partition(" ")[2] for turn in turns if not turn.startswith("system "))
    system = [turn for turn in turns if turn.startswith("system ")]
    numbers = _NUMBER.findall(free) if _DIGIT.search(free) else ()
    return free, " ".join([*system, *roles, *numbers])


def repeats(ids: Hashes) -> dict[int, int]:
    """The place of each row that says just what an earlier one says, with that of the first that does."""
    _, first, number = np.unique(ids, return_index=True, return_inverse=True)
    earlier = first[number]
    (places,) = np.nonzero(earlier != np.arange(len(ids)))
    return dict(zip(places.tolist(), earlier[places].tolist(), strict=True))


def conflicts(inputs: Hashes, answers: Hashes) -> dict[int, int]:
    """The place of each row whose input has another answer too, with that of the first row that gives one.

    Rows with one input stand together.
    """
    _, number, times = np.unique(inputs, return_inverse=True, return_counts=True)
    groups: dict[int, list[int]] = {}
    for place in np.flatnonzero(times[number] > 1).tolist():
        groups.setdefault(int(number[place]), []).append(place)
    pairs: dict[int, int] = {}
    for group in groups.values():
        given = answers[group].tolist()
        other = next((place for place, answer in enumerate(given) if answer != given[0]), None)
        if other is not None:
            for place, answer in zip(group, given, strict=True):
                pairs[place] = group[other] if answer == given[0] else group[0]
    return pairs


def _words(text: str) -> str:
    if text.isascii() and not _DIGIT.search(text):
        plain = text.lower()
        words = plain.encode("ascii").translate(_PLAIN_BLANKS).decode("ascii").split()
        return " ".join(words or plain.split())
    folded = unicodedata.normalize("NFC", text).casefold()
    words = _LOOSE.sub(" ", folded).translate(_BLANKS).split()
    return " ".join(words or folded.split())  # a text of marks alone is its own wording
