"""Texts as rows of length 1, so that a product of two is their cosine: by their words, or by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol

import numpy as np

from residency.models.embedding import embed

Similarity = Literal["words", "meaning"]
_BATCH = 64


class Vectors(Protocol):
    """A way to make vectors of texts."""

    def of(self, texts: Sequence[str]) -> Any:
        """A row a text, as a dense or a sparse matrix."""


def vectors_for(similarity: Similarity, texts: Sequence[str], least: int = 1) -> Vectors:
    """The way that `similarity` names; `words` learns from `texts` how much each word counts.

    Words that stand in fewer than `least` of the texts are left out, if any stand in so many.
    """
    return MeaningVectors() if similarity == "meaning" else WordVectors(texts, least)


class WordVectors:
    """Weighted counts of words, pairs of words and pieces of words (TF-IDF).

    G. Salton, C. Buckley, Information Processing & Management 24 (1988) 513.
    """

    def __init__(self, texts: Sequence[str], least: int) -> None:
        self._counts = _fit(texts, least) or _fit(texts, 1)

    def of(self, texts: Sequence[str]) -> Any:
        """A sparse row a text; one column of zeros where the texts learned from were blank."""
        from scipy.sparse import csr_array, hstack
        from sklearn.preprocessing import normalize

        if not self._counts:
            return csr_array((len(texts), 1))
        return normalize(hstack([kind.transform(texts) for kind in self._counts], format="csr"))


def _fit(texts: Sequence[str], least: int) -> list[Any]:
    """What counts words and what counts pieces of words, each where any stands in `least` of the texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = {"ngram_range": (1, 2), "token_pattern": r"\w+|[^\w\s]+"}
    pieces = {"analyzer": "char_wb", "ngram_range": (3, 5)}
    fitted = []
    for kind in (words, pieces):
        with suppress(ValueError):  # none does
            fitted.append(TfidfVectorizer(sublinear_tf=True, min_df=least, **kind).fit(texts))
    return fitted


class MeaningVectors:
    """The sentence encoder's vectors."""

    def of(self, texts: Sequence[str]) -> Any:
        """A dense row a text; texts of like length go together, so that little is padded."""
        order = np.array(sorted(range(len(texts)), key=lambda place: len(texts[place])))
        parts = [embed([texts[i] for i in part]) for part in np.array_split(order, -(-len(texts) // _BATCH))]
        return np.concatenate(parts)[np.argsort(order)]
