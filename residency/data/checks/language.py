"""Answers in another language than nearly all others of their file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from residency.core.recipe import Data
from residency.data.checks.format_norm import CLEAR, LEAST, majority
from residency.data.checks.forms import form_of
from residency.data.checks.registry import file_check
from residency.data.findings import Flag
from residency.data.rows import Rows

_LONG_ENOUGH = 40
"""Characters from which on a language can be told."""
_SAMPLE = 200
_COMMON = 0.05
"""Words in such a share of the answers tell at little cost that an answer is in the usual language."""
_READ = 1000
"""Characters in which common words are looked for."""
_SURE = 0.9
"""Probability from which on the identifier is believed."""


@file_check(
    "format-language",
    "warning",
    meaning="the answer is in another language than nearly all others.",
    fix="Translate the answer, or remove the row.",
)
def other_language(rows: Rows, data: Data) -> Iterator[Flag]:
    """Ask a language identifier about the answers that hold hardly any of the file's common words."""
    long = list(rows.look_at_answers(lambda answer: len(answer) >= _LONG_ENOUGH or None))
    if len(long) < max(LEAST, CLEAR * len(rows)):
        return
    sample = list(rows.answers.take(np.array(long[:: -(-len(long) // _SAMPLE)])))
    if majority(map(form_of, sample)) != "text":
        return
    language_of = _identifier()
    usual = majority(map(language_of, sample))
    if usual is None:
        return
    words = Counter(word for answer in sample for word in set(answer.lower().split()))
    common = frozenset(word for word, count in words.items() if count > _COMMON * len(sample))

    def other(answer: str) -> str | None:
        if len(answer) < _LONG_ENOUGH or _holds(answer, common):
            return None
        language = language_of(answer)
        return None if language == usual else language

    for place, language in rows.look_at_answers(other).items():
        yield Flag(rows.source(place), f"{language}; most rows: {usual}", suspicion=0.6)


def _holds(answer: str, common: frozenset[str]) -> bool:
    """Whether common words are a tenth of the words: at least two of them, and ten are enough."""
    words = answer[:_READ].lower().split()
    return len(common.intersection(words)) >= min(10, max(2, len(words) / 10))


def _identifier() -> Callable[[str], str | None]:
    """A function from a text to the code of its language, or None where that is not sure."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_SURE)

    def language_of(text: str) -> str | None:
        language, _ = identifier.classify(text)
        return None if language == "und" else str(language)

    return language_of
