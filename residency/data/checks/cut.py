"""Answers that stop before they end: a tuned model learns to stop there too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from residency.core.recipe import Data
from residency.data.checks.registry import file_check
from residency.data.findings import Flag
from residency.data.ledger import Checked

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
def cut_answers(rows: Sequence[Checked], data: Data) -> Iterable[Flag]:
    """Answers left open by a bracket, a quote or a fence, or that break off in a sentence, where few do."""
    answers = [row.example.answer.rstrip() for row in rows]
    flags: dict[int, tuple[str, float]] = {}
    for found in (dict(_left_open(answers)), dict(_broken_off(answers))):
        if len(found) <= max(1, _RARE * len(rows)):
            flags = {**found, **flags}
    for place in sorted(flags):
        detail, suspicion = flags[place]
        yield Flag(rows[place].example.source, detail, suspicion=suspicion)


def _left_open(answers: Sequence[str]) -> Iterator[tuple[int, tuple[str, float]]]:
    for place, answer in enumerate(answers):
        if not _is_balanced(answer) and (opened := open_mark(answer)):
            yield place, (f"{opened} is never closed", 0.8)


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


def _broken_off(answers: Sequence[str]) -> Iterator[tuple[int, tuple[str, float]]]:
    """Where nearly all sentences end with a mark: those that end with a comma, midway, or in half a word."""
    sentences = [place for place, answer in enumerate(answers) if answer.count(" ") >= 3]
    unended = [place for place in sentences if answers[place][-1] not in _ENDS]
    if not unended or len(unended) > (1 - _USUAL) * len(sentences):
        return
    ended = [answers[place] for place in sentences if answers[place][-1] in _ENDS]
    known = {word for answer in ended for word in _WORD.findall(answer.lower())}
    for place in unended:
        last_line = answers[place].rsplit("\n", 1)[-1]
        words = _WORD.findall(last_line)
        if last_line[-1] in ",-–—":
            yield place, (f"ends with '{last_line[-1]}'", 0.8)
        elif words and last_line.endswith(words[-1]) and (words[-1][0].islower() or len(words) > 4):
            yield from ((place, told) for told in _told_of(words[-1].lower(), known))


def _told_of(word: str, known: set[str]) -> Iterator[tuple[str, float]]:
    """A capital in a short last line is a name below a letter, and never comes here."""
    if _MIDWAY.fullmatch(word):
        yield f"ends with '{word}'", 0.8
    elif word not in known:
        yield f"ends with '{word}', which no other answer holds as a word", 0.7
