"""Twins of training rows: the same question in other words, as given by the user or a model, or made here.

What is made here changes the surface alone (a greeting, contractions, the first capital, the final mark)
and says the same to anybody. It is weak: a model that knows a row by heart may still know its twin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Literal

from residency.core.errors import ResidencyError
from residency.core.records import Example, Message, fingerprint
from residency.data.duplicates import quotes, wording
from residency.data.reading.read import read_rows

LEAST_PARAPHRASES = 10
"""Fewer rows that a model worded anew, and that held, are too few to tell."""

Fault = Literal[
    "no text came",
    "the words of the original",
    "the words of another row",
    "quotes the answer",
    "answered otherwise",
    "not asked, max_cost was reached",
    "not checked, max_cost was reached",
]
"""Why what a model made of a row does not count."""

_CONTRACTIONS = (
    ("I am", "I'm"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("was not", "wasn't"),
    ("have not", "haven't"),
    ("has not", "hasn't"),
    ("cannot", "can't"),
)
_ONE_WAY = (("what is", "what's"), ("it is", "it's"), ("there is", "there's"))
"""Of these the short form may stand for `has` as well."""
_SHORT = {full.casefold(): short for full, short in (*_CONTRACTIONS, *_ONE_WAY)}
_FULL = {short.casefold(): full for full, short in _CONTRACTIONS}
_EITHER = re.compile(
    rf"(?<![\w'’])(?:{'|'.join(map(re.escape, [*_SHORT, *_FULL]))})(?![\w'’])(?!\s*[?!.,;]?$)", re.IGNORECASE
)
_ENGLISH = re.compile(
    r"\b(?:the|is|are|do|does|my|your|you|what|how|which|have|it|to|of|and)\b", re.IGNORECASE
)
_GREETED = re.compile(r"(?:hi|hello|hey|dear|good)\b", re.IGNORECASE)
_PROSE = re.compile(r"[^\n{}<>|`\"“”]{8,400}")
_QUOTED_WORDS = 3
_GREETINGS = (("Hello, ", ""), ("Hi there. ", ""), ("", " Thank you."), ("Good day. ", " Thanks."))


def surface_twin(example: Example) -> Example | None:
    """The row with its last turn worded anew; none where that might ask for another answer.

    Left alone are inputs that are no line of prose or hold quotation marks, those of which the answer
    repeats three words in a row, as a rewritten or translated text may, and those not plainly English.
    """
    text = last_asked(example)
    if text is None:
        return None
    if not _PROSE.fullmatch(text) or not _ENGLISH.search(text) or _repeats(example.answer, text):
        return None
    return asking(example, _greeted(_EITHER.sub(_other_form, text)))


def _greeted(text: str) -> str:
    """A greeting or thanks around the text, chosen by it; a mark before thanks, else no full stop."""
    kind = -2 if _GREETED.match(text) else int(fingerprint(text)[:8], 16) % len(_GREETINGS)
    before, after = _GREETINGS[kind]
    first, rest = text.split(maxsplit=1) if " " in text else (text, "")
    if before.endswith(", ") and _ENGLISH.fullmatch(first):
        text = f"{first.lower()} {rest}".rstrip()
    if after:
        return f"{before}{text}{'' if text[-1] in '.?!' else '.'}{after}"
    return before + (text[:-1] if text.endswith(".") and not text.endswith("..") else text)


def _other_form(found: re.Match[str]) -> str:
    """Contracted what was in full, and the other way about, with the first letter as it was."""
    form = found.group()
    other = _SHORT.get(form.casefold()) or _FULL[form.casefold()]
    return other[0].upper() + other[1:] if form[0].isupper() else other


def _repeats(answer: str, text: str) -> bool:
    said, asked = (re.findall(r"\w+", part.casefold()) for part in (answer, text))
    runs = {tuple(said[i : i + _QUOTED_WORDS]) for i in range(len(said) - _QUOTED_WORDS + 1)}
    return any(tuple(asked[i : i + _QUOTED_WORDS]) in runs for i in range(len(asked)))


def last_asked(example: Example) -> str | None:
    """The last user turn, where it is what is answered."""
    asked = example.prompt[-1] if example.prompt.turns else None
    return None if asked is None or asked.role != "user" else asked.content.strip()


def asking(example: Example, text: str) -> Example:
    """The row with `text` as its last user turn."""
    turns = (*example.messages[:-2], Message("user", text), example.messages[-1])
    return replace(example, messages=turns)


def fault_of(original: Example, twin: Example, wordings: Set[str]) -> Fault | None:
    """What is wrong with the wording of a twin that a model made.

    Args:
        original: The training row.
        twin: The same, asked in other words.
        wordings: Those of all rows, in which a twin would be a row that was seen, or that is held out.
    """
    if wording(twin) == wording(original):
        return "the words of the original"
    if wording(twin) in wordings:
        return "the words of another row"
    asked, before = last_asked(twin) or "", last_asked(original) or ""
    given_away = quotes(asked, original.answer) and not quotes(before, original.answer)
    return "quotes the answer" if given_away else None


class Paraphrases:
    """Other words for training rows, from a file of rows with `paraphrase` and `id` or `input`."""

    def __init__(self, file: Path) -> None:
        """Read the file.

        Raises:
            ResidencyError: a row lacks one of the two, or holds no text.
        """
        self.file = file
        self._texts: dict[str, list[str]] = {}
        for row in read_rows(file):
            content: Mapping[str, object] = row.content or {}
            named = content.get("id") or content.get("input")
            text = content.get("paraphrase")
            if not (isinstance(named, str) and isinstance(text, str) and text.strip()):
                what = f"No paraphrase: {row.problem or 'it needs texts `paraphrase`, and `id` or `input`'}."
                fix = 'Write rows such as {"input": "Where is my card?", "paraphrase": "My card is lost."}'
                raise ResidencyError(what, str(row.source), fix)
            self._texts.setdefault(named.strip(), []).append(text.strip())

    def of(self, example: Example) -> list[Example]:
        """The row asked in each of the other words there are for it."""
        asked = last_asked(example)
        if asked is None:
            return []
        texts = self._texts.get(example.id, []) + self._texts.get(asked, [])
        return [asking(example, text) for text in texts]

    def require_known(self, train: Sequence[Example]) -> None:
        """Refuse a file none of whose rows is one of the training rows."""
        if not any(self.of(example) for example in train):
            what = "None of these paraphrases is of a training row."
            fix = "Name training rows by their `input` as it stands, or by their `example_id` in the ledger."
            raise ResidencyError(what, str(self.file), fix)


def surface_twins(examples: Iterable[Example]) -> list[Example]:
    """The twin of each row that has one."""
    return [twin for twin in map(surface_twin, examples) if twin is not None]
