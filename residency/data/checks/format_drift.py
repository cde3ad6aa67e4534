"""Answers that break the form which most answers of their file share: a model learns to break it too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from residency.core.recipe import Data
from residency.data.checks.format_norm import deviations, learn
from residency.data.checks.registry import Declared, file_checks
from residency.data.findings import Flag
from residency.data.rows import Rows

_SAMPLE = 10_000
"""Answers, spread evenly over the file, that the habits are learned from."""
_FIX = "Write the answer in the form of the others, or remove the row."
_FAMILY = (
    Declared("format-kind", "warning", "the answer is of another kind than nearly all others.", _FIX, 0.8),
    Declared(
        "format-json", "warning", "the answer is broken JSON where nearly all others are whole.", _FIX, 0.9
    ),
    Declared(
        "format-keys",
        "warning",
        "the answer has other keys, or in another order, than the others.",
        _FIX,
        0.7,
    ),
    Declared(
        "format-types", "warning", "a value is of another type than in nearly all other answers.", _FIX, 0.6
    ),
    Declared("format-lines", "note", "the answer has more or fewer lines than nearly all others.", _FIX, 0.4),
    Declared("format-length", "note", "the answer is far longer or shorter than the others.", _FIX, 0.4),
    Declared("format-case", "note", "the answer begins in another case than nearly all others.", _FIX, 0.3),
    Declared("format-ending", "note", "the answer ends otherwise than nearly all others.", _FIX, 0.2),
    Declared(
        "format-blanks", "note", "there are other blanks around the answer than around the others.", _FIX, 0.3
    ),
)
_SUSPICION = {check.id: check.suspicion for check in _FAMILY}


@file_checks(*_FAMILY)
def format_drift(rows: Rows, data: Data) -> Iterator[tuple[str, Flag]]:
    """Learn the habits of the file's answers, then hold every answer against them."""
    sample = np.arange(0, len(rows), -(-len(rows) // _SAMPLE) or 1)
    norm = learn(list(rows.answers.take(sample)))
    for place, broken in rows.look_at_answers(lambda answer: list(deviations(answer, norm)) or None).items():
        for id, detail in broken:
            yield id, Flag(rows.source(place), detail, suspicion=_SUSPICION[id])
