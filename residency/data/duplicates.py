"""Rows that say the same, or ask the same or in the same words. All functions are pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from residency.core.records import Example, fingerprint

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


def repeats(examples: Sequence[Example]) -> list[tuple[Example, Example]]:
    """Each row that says exactly the same as an earlier one, with the first that does."""
    first: dict[str, Example] = {}
    pairs = ((example, first.setdefault(example.id, example)) for example in examples)
    return [(example, earlier) for example, earlier in pairs if example is not earlier]


def conflicts(examples: Sequence[Example]) -> list[list[Example]]:
    """Groups of rows with the same input and more than one answer."""
    times = Counter(example.input_id for example in examples)
    groups: dict[str, list[Example]] = {}
    for example in examples:
        if times[example.input_id] > 1:
            groups.setdefault(example.input_id, []).append(example)
    return [group for group in groups.values() if len({example.answer for example in group}) > 1]


def _words(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).casefold()
    words = _LOOSE.sub(" ", folded).translate(_BLANKS).split()
    return " ".join(words or folded.split())  # a text of marks alone is its own wording
