"""Answers that know what the input does not say: such facts are looked up, not learned."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from residency.core.recipe import Data
from residency.data.checks.registry import file_check
from residency.data.checks.spans import has_digit
from residency.data.findings import Flag
from residency.data.ledger import Checked
from residency.data.rows import Rows

_LEAST_SHARE = 0.1
"""Fewer of the answers than this are asides, and no reason to look things up."""
_LEAST_ROWS = 5
_STANDING = 0.5
"""What so many of the answers hold is a phrase of theirs, such as opening hours in the closing words."""
_LEAST_WORDS = 5
_FACT = re.compile(
    r"https?://[^\s)>\]\"']+|www\.[^\s)>\]\"']+|[€$£¥] ?\d[\d.,]*\d|[€$£¥] ?\d|\d+(?:[.,:/-]\d+)+|\d{2,}"
    r"|\d(?= ?(?:%|€|(?:percent|days?|weeks?|months?|years?|hours?|minutes?|km|kg|miles?)\b"
    r"|(?:tage?n?|wochen?|jahren?|jours?|ans|d[ií]as?)\b))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+")
_LONG_NUMBER = re.compile(r"\d+(?:[.,' ]\d{3})+")
_SEPARATOR = re.compile(r"[.,' ]")
_STRUCTURE = re.compile(r"\s*[{\[<]|```|(?:^[\w -]{1,30}: ?\S.*(?:\n|$)){2}|[;{}]\s*$| = ", re.MULTILINE)
"""JSON, fields, markup, code and sums: their numbers are derived."""
_MONTHS = {
    name: str(number)
    for number, names in enumerate(
        (
            "january jan januar janvier enero", "february feb februar février febrero",
            "march mar märz mars marzo", "april apr avril abril", "may mai mayo", "june jun juni juin junio",
            "july jul juli juillet julio", "august aug août agosto",
            "september sep sept septembre septiembre", "october oct oktober octobre octubre",
            "november nov novembre noviembre", "december dec dezember décembre diciembre",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")


@file_check(
    "knowledge",
    "note",
    meaning="the answer holds numbers, prices, dates or links that its input does not. "
    "A tuned model learns how to answer and makes such facts up.",
    fix="Keep them where they can be looked up, and give the model what was found in its prompt.",
)
def knowledge(rows: Rows, data: Data) -> Iterable[Flag]:
    """Rows of prose with facts of their own, where they are a share of the file worth telling."""
    told = rows.look_at_answers(_stated)
    facts = {place: own for place, found in told.items() if (own := _own(found, rows[place]))}
    held = Counter(fact for found in facts.values() for fact in found)
    standing = {fact for fact, count in held.items() if count > _STANDING * len(rows)}
    facts = {place: own for place, found in facts.items() if (own := [f for f in found if f not in standing])}
    if len(facts) < max(_LEAST_ROWS, _LEAST_SHARE * len(rows)):
        return
    for place, found in facts.items():
        detail = f"not in the input: {', '.join(found[:3])}{', …' if len(found) > 3 else ''}"
        yield Flag(rows.source(place), detail, suspicion=0.2)


def own_facts(row: Checked) -> list[str]:
    """Links and numbers of a prose answer of which the prompt has no trace, in whatever form."""
    return _own(_stated(row.example.answer) or (), row)


def _stated(answer: str) -> list[str] | None:
    """The links and numbers of a prose answer; None where there are none."""
    if not has_digit(answer) and "www." not in answer and "://" not in answer:
        return None
    found: list[str] = _FACT.findall(answer)
    if not found or answer.count(" ") < _LEAST_WORDS - 1 or _STRUCTURE.search(answer):
        return None
    return found


def _own(found: Iterable[str], row: Checked) -> list[str]:
    """Those of which the row's prompt has no trace."""
    prompt = " ".join(turn.content for turn in row.example.prompt)
    known = {number.lstrip("0") for number in _NUMBER.findall(prompt)}
    known |= {_SEPARATOR.sub("", number) for number in _LONG_NUMBER.findall(prompt)}
    known |= {_MONTHS[word] for word in _WORD.findall(prompt.lower()) if word in _MONTHS}
    return [fact for fact in dict.fromkeys(found) if not _is_told(fact.rstrip(".,:"), prompt, known)]


def _is_told(fact: str, prompt: str, known: set[str]) -> bool:
    if fact[:4].lower() in ("http", "www."):
        return fact in prompt
    numbers = [number.lstrip("0") for number in _NUMBER.findall(fact)]
    return all(number in known or not number for number in numbers) or "".join(numbers) in known
