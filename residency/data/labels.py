"""Answers that are labels: few short ones that stand there again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

LONGEST = 80
"""Characters of a label at most."""


def labels_of(answers: Sequence[str]) -> Counter[str] | None:
    """How often each label stands there, the commonest first; None where the answers are no labels.

    There are at most a quarter as many labels as rows. Nineteen of twenty answers must be one short
    line, so that a stray sentence does not hide what the others are. Blanks around a label are no
    part of it.
    """
    counts = Counter(map(str.strip, answers))
    if len(counts) > max(2, len(answers) // 4):
        return None
    short = sum(n for answer, n in counts.items() if is_short(answer))
    return Counter(dict(counts.most_common())) if 20 * short >= 19 * len(answers) else None


def is_short(answer: str) -> bool:
    """Whether it is one line, and short enough for a label."""
    return len(answer) < LONGEST and "\n" not in answer
