"""Answers that stop before they end: a tuned model learns to stop there too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from residency.core.recipe import Data
from residency.data.checks.registry import file_check
from residency.data.findings import Flag
from residency.data.rows import Rows

Told = tuple[str, float]
"""What is told of an answer, and how suspect it is."""
_RARE = 0.1
"""Where more of the answers than this are left open, it is the file's way of writing."""
_USUAL = 0.9
"""So many sentences must end in a full stop or the like before one that does not is suspected."""
_CLOSERS = {")": "(", "]": "[", "}": "{"}
_EMOTICON = re.compile(r"(?<!\S)[:;=]['-]?\((?!\w)")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|`[^`\n]*`|'(?:[^'\\\n]|\\.)'")
_INCHES = re.compile(r"(?<=\d)\"")
_ENDS = frozenset(".!?…:;)]}>\"'”’»«“`*_|~。！？」』）।؟")
_MIDWAY = re.compile(
    "an?|the|and|or|but|of|to|in|on|at|for|with|from|by|as|is|are|was|were|be|been|your|our|their|my|its|his|her"
    "|this|that|these|those|which|who|if|when|because|so|than|into|can|will|would|should|der|die|das|und|oder"
    "|not|no|you|we|it|have|has|had|do|does|mit|für|von|zu|eine?|le|la|les|de|des|du|et|ou|une?|el|los|y|o|con|para|por"
)
"""Words that a sentence hardly ends with."""
_WORD = re.compile(r"[^\W\d_]+")


@file_check(
    "cut-answer",
    "warning",
    meaning="the answer stops midway. A tuned model learns to stop there too.",
    fix="Finish the answer, or remove the row; look for a length limit where the rows were made.",
)
def cut_answers(rows: Rows, data: Data) -> Iterable[Flag]:
    """Answers left open by a bracket, a quote or a fence, or that break off in a sentence, where few do."""
    flags: dict[int, Told] = {}
    for found in (rows.look_at_answers(_left_open), _broken_off(rows)):
        if len(found) <= max(1, _RARE * len(rows)):
            flags = {**found, **flags}
    for place in sorted(flags):
        detail, suspicion = flags[place]
        yield Flag(rows.source(place), detail, suspicion=suspicion)


def _left_open(answer: str) -> Told | None:
    answer = answer.rstrip()
    if not _is_balanced(answer) and (opened := open_mark(answer)):
        return f"{opened} is never closed", 0.8
    return None


def _is_balanced(text: str) -> bool:
    """The cheap test: as many marks close as open."""
    return (
        text.count("(") == text.count(")")
        and text.count("[") == text.count("]")
        and text.count("{") == text.count("}")
        and text.count("“") == text.count("”")
        and not text.count('"') % 2
        and not text.count("```") % 2
    )


def open_mark(text: str) -> str | None:
    """The fence, bracket or quote that is opened in `text` and never closed."""
    if text.count("```") % 2:
        return "```"
    bare = _EMOTICON.sub("", _QUOTED.sub("", _INCHES.sub("", text)))
    opened: list[str] = []
    for character in bare:
        if character in "([{":
            opened.append(character)
        elif opened and _CLOSERS.get(character) == opened[-1]:
            opened.pop()
    if opened:
        return opened[-1]
    if bare.count('"') % 2:
        return '"'
    return "“" if bare.count("“") > bare.count("”") and "„" not in bare else None


def _broken_off(rows: Rows) -> dict[int, Told]:
    """Where nearly all sentences end with a mark: those that end with a comma, midway, or in half a word."""
    ends = rows.look_at_answers(_is_ended)
    unended = [place for place, ended in ends.items() if not ended]
    if not unended or len(unended) > (1 - _USUAL) * len(ends):
        return {}
    last = {place: _last_word(rows.answers[place].rstrip()) for place in unended}
    sought = {word for word, _ in last.values()}
    known: set[str] = set()
    for answer in rows.different_answers():
        if _is_ended(answer):
            known |= sought.intersection(_WORD.findall(answer.lower()))
    return {place: found for place, (word, mark) in last.items() if (found := mark or _told_of(word, known))}


def _is_ended(answer: str) -> bool | None:
    """Whether a sentence ends with a mark; None for what is none."""
    answer = answer.rstrip()
    return answer[-1] in _ENDS if answer.count(" ") >= 3 else None


def _last_word(answer: str) -> tuple[str, Told | None]:
    """The word that a sentence breaks off with, if there is one; or what is told of its last mark."""
    last_line = answer.rsplit("\n", 1)[-1]
    words = _WORD.findall(last_line)
    if last_line[-1] in ",-–—":
        return "", (f"ends with '{last_line[-1]}'", 0.8)
    if words and last_line.endswith(words[-1]) and (words[-1][0].islower() or len(words) > 4):
        return words[-1].lower(), None
    return "", None


def _told_of(word: str, known: Collection[str]) -> Told | None:
    """A capital in a short last line is a name below a letter, and never comes here."""
    if _MIDWAY.fullmatch(word):
        return f"ends with '{word}'", 0.8
    if word and word not in known:
        return f"ends with '{word}', which no other answer holds as a word", 0.7
    return None
