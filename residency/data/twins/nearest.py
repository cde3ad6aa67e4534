"""The texts most like a given one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from residency.core.records import Example
from residency.models.vectors import Similarity, vectors_for

_BATCH = 64


class Neighbour(NamedTuple):
    """A text of the index, by its place, and how like the given one it is."""

    place: int
    cosine: float


class Nearest:
    """An index of texts that finds those most like others, exactly: every text is looked at."""

    def __init__(self, texts: Sequence[str], similarity: Similarity = "words") -> None:
        self._vectors = vectors_for(similarity, texts)
        self._rows = self._vectors.of(texts)

    def find(self, texts: Sequence[str], k: int) -> list[list[Neighbour]]:
        """For each of `texts` the `k` nearest of the index, the nearest first; of equals the earlier."""
        found: list[list[Neighbour]] = []
        for begin in range(0, len(texts), _BATCH):
            cosines = self._vectors.of(texts[begin : begin + _BATCH]) @ self._rows.T
            for row in csr_array(cosines).toarray():
                order = np.argsort(-row, kind="stable")[:k]
                found.append([Neighbour(int(place), float(row[place])) for place in order])
        return found


def asked_text(example: Example) -> str:
    """What a row asks: its turns before the answer, without the system prompt."""
    return "\n".join(turn.text for turn in example.prompt if turn.role != "system")
