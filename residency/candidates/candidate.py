"""What every way to answer the task has in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from residency.core.progress import Advance
from residency.core.records import Completion, Example


class Candidate(Protocol):
    """A way to answer the task; what it needs to be made is its constructor's business."""

    @property
    def name(self) -> str:
        """As reports call it."""

    def answer(self, examples: Sequence[Example], max_new_tokens: int, advance: Advance) -> list[Completion]:
        """A completion for each example, in order, with its cost; the examples' answers are not looked at."""
