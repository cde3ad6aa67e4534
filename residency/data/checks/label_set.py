"""The set of labels: two spellings of one, labels of hardly any row, and one that outweighs the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from residency.core.recipe import Data
from residency.data.checks.format_norm import LEAST
from residency.data.checks.registry import Declared, file_checks
from residency.data.findings import Flag, plural
from residency.data.labels import labels_of
from residency.data.rows import Rows

FEW = 5
"""Rows of a label below which it can hardly be learned, and no score of it can be told from another."""
_TIMES = 10
"""A label is a typo of another only where the other stands in so many times as many rows."""
_COMPARED = 1000
"""Typos are looked for among so many labels at most: the work grows with the square."""
_MARKS = str.maketrans(dict.fromkeys(" \t_-.,;:!?'\"`´’“”()[]/"))
_MOST_ROWS = 0.8
"""A label with this share of the rows outweighs the others, however many these are."""
_EVEN_SHARES = 10
"""So does one with so many times as many rows as it would have if all had the same."""


@file_checks(
    Declared(
        "label-spelling",
        "warning",
        "the label is another one but for case, spacing, punctuation or a typo.",
        "Write the label as the other rows do.",
    ),
    Declared(
        "rare-labels",
        "note",
        f"the label has fewer than {FEW} rows: too few to learn it, or to tell how well it is learned.",
        "Add rows with these labels, or give their rows another label.",
    ),
    Declared(
        "imbalance",
        "note",
        "the first of a label that outweighs the others: a model that always names it looks good.",
        "Add rows of the other labels, and look at the score of each label by itself.",
    ),
)
def label_set(rows: Rows, data: Data) -> Iterator[tuple[str, Flag]]:
    """Hold the labels of a file against each other."""
    counts = labels_of(rows.labels) if rows.labels is not None and len(rows) >= LEAST else None
    if counts is None or len(counts) < 2:
        return
    misspelt = misspellings(counts)
    rare = {label for label, count in counts.items() if count < FEW and label not in misspelt}
    first: dict[str, int] = {}
    for place, label in enumerate(rows.labels or ()):
        first.setdefault(label, place)

    def told(answer: str) -> tuple[str, str] | None:
        label = answer.strip()
        return (label, misspelt.get(label, "")) if label in misspelt or label in rare else None

    for place, (label, right) in rows.look_at_answers(told).items():
        if right:
            detail = f"{label!r}; {plural(counts[right], 'row', 'says')} {right!r}"
            other = rows.source(first[right])
            yield "label-spelling", Flag(rows.source(place), detail, other, suspicion=0.8)
        else:
            detail = f"{label!r} has {plural(counts[label], 'row')}"
            yield "rare-labels", Flag(rows.source(place), detail, suspicion=0.2)
    label, count = next(iter(counts.items()))
    if outweighs(counts):
        detail = (
            f"{label!r} has {count:,} of {plural(len(rows), 'row')}, one of {plural(len(counts), 'label')}"
        )
        yield "imbalance", Flag(rows.source(first[label]), detail, suspicion=0)


def outweighs(counts: Counter[str]) -> bool:
    """Whether the commonest label has four of five rows, or ten times an even share of them."""
    share = max(counts.values()) / counts.total()
    return share >= _MOST_ROWS or share * len(counts) >= _EVEN_SHARES


def misspellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Each label that is a commoner one in another spelling, with that one.

    `counts` begins with the commonest. Case, blanks and punctuation do not make another label; a typo
    is one letter more, less, other or swapped in a label that hardly any row has.
    """
    from rapidfuzz.distance import OSA

    found: dict[str, str] = {}
    by_letters: dict[str, str] = {}
    for label, count in counts.items():
        letters = _letters(label)
        if (right := by_letters.setdefault(letters, label)) != label:
            found[label] = right
        elif count < FEW and len(letters) >= 5 and len(counts) <= _COMPARED:
            near = (
                other
                for key, other in by_letters.items()
                if counts[other] >= _TIMES * count
                and _digits(key) == _digits(letters)
                and OSA.distance(letters, key, score_cutoff=1) == 1
            )
            if right := next(near, ""):
                found[label] = right
    return found


def _letters(label: str) -> str:
    """The label without case, blanks and punctuation; in a number or a very short one marks count: A-, -1."""
    folded = label.casefold()
    kept = folded.translate(_MARKS)
    return folded if len(kept) < 3 or kept.isdigit() else kept


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())
