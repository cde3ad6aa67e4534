"""Signs of a task whose answers must be looked up: training teaches form, and facts only by repetition."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from residency.evals.scored import Scored
from residency.verdict import ways
from residency.verdict.advice_schema import KnowledgePart
from residency.verdict.report_schema import CandidateSummary

OWN_WORDS = 0.1
"""Of the answers' content words, the share from which on they tell what their inputs do not."""
NEAR_ZERO = 0.2
"""A share whose interval ends below this is near zero."""
_FORM = 0.05
"""Words that stand in more of the answers than this share are the form of an answer."""
_WORD = re.compile(r"\w+")
_SHORT = 3
"""Letters of a word that is taken for one of grammar; with a digit it is content at any length."""


def signs(part: KnowledgePart) -> bool:
    """Whether all three are there: words of its own, near zero without looking up, and better with it."""
    return suspicious(part) and part.gain_interval is not None and part.gain_interval.low > 0


def suspicious(part: KnowledgePart) -> bool:
    """Whether the first two are."""
    return part.own_words >= OWN_WORDS and part.closed_book_interval.high < NEAR_ZERO


def closed_book(candidates: Sequence[CandidateSummary]) -> CandidateSummary | None:
    """The best prompt without training that is shown nothing looked up."""
    asked = [c for c in candidates if c.name not in ways.TRAINED and ways.way_of(c.name) == "prompt"]
    return max(asked, key=lambda candidate: candidate.mean, default=None)


def looked_up(candidates: Sequence[CandidateSummary]) -> CandidateSummary | None:
    """The best candidate that looks something up, without training."""
    asked = [candidate for candidate in candidates if ways.way_of(candidate.name) == "retrieve"]
    return max(asked, key=lambda candidate: candidate.mean, default=None)


def own_words(rows: Sequence[Scored]) -> float:
    """The share of the answers' content words that stand neither in their input nor in the label set.

    The label set: the words of more than a twentieth of the answers, and those of answers that several
    inputs have.
    """
    pairs = {(row.prompt, row.expected): None for row in rows}
    inputs: dict[str, set[str]] = defaultdict(set)
    for prompt, answer in pairs:
        inputs[answer.strip()].add(prompt)
    words = [(prompt, answer.strip(), content_words(answer)) for prompt, answer in pairs]
    held = Counter(word for _, _, content in words for word in content)
    form = {word for word, count in held.items() if count > max(1, _FORM * len(words))}
    total = sum(len(content) for _, _, content in words)
    own = sum(
        len(content - form - _all_words(prompt))
        for prompt, answer, content in words
        if len(inputs[answer]) == 1
    )
    return own / total if total else 0.0


def content_words(text: str) -> set[str]:
    """Words of more than three letters, and those with a digit, in lower case."""
    return {word for word in _all_words(text) if len(word) > _SHORT or any(map(str.isdigit, word))}


def _all_words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
