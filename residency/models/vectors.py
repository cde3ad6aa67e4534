"""Texts as rows of length 1, so that a product of two is their cosine: by their words, or by meaning."""

from __future__ import annotations

from collections.abc import Sequence
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

    Words that stand in fewer than `least` of the texts are left out.
    """
    return MeaningVectors() if similarity == "meaning" else WordVectors(texts, least)


class WordVectors:
    """Weighted counts of words, pairs of words and pieces of words (TF-IDF).

    G. Salton, C. Buckley, Information Processing & Management 24 (1988) 513.
    """

    def __init__(self, texts: Sequence[str], least: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        words = {"ngram_range": (1, 2), "token_pattern": r"\w+|[^\w\s]+"}
        pieces = {"analyzer": "char_wb", "ngram_range": (3, 5)}
        kinds = [TfidfVectorizer(sublinear_tf=True, min_df=least, **kind) for kind in (words, pieces)]
        self._counts = make_union(*kinds).fit(texts)

    def of(self, texts: Sequence[str]) -> Any:
        """A sparse row a text."""
        from sklearn.preprocessing import normalize

        return normalize(self._counts.transform(texts))


class MeaningVectors:
    """The sentence encoder's vectors."""

    def of(self, texts: Sequence[str]) -> Any:
        """A dense row a text; texts of like length go together, so that little is padded."""
        order = np.array(sorted(range(len(texts)), key=lambda place: len(texts[place])))
        parts = [embed([texts[i] for i in part]) for part in np.array_split(order, -(-len(texts) // _BATCH))]
        return np.concatenate(parts)[np.argsort(order)]
