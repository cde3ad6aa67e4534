"""A plain classifier: logistic regression on vectors of the inputs, where answers are labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from residency.core.progress import Advance
from residency.core.records import Completion, Example
from residency.data.twins.nearest import asked_text
from residency.models.vectors import Similarity, vectors_for

STRENGTHS = (1.0, 10.0, 100.0)
"""Values of C that are tried: the inverse of the weight of the L2 penalty."""
MOST_LABELS = 500
"""Different answers at most. Each is a dense row of weights, a number a word and piece of a word, and L-BFGS
holds up to 25 such tables: of 24,000 words, as some 10,000 short rows have, 500 labels take 2.4 GB."""
LEAST_ROWS = 2
"""Training rows a label has in the mean at least: with fewer, most inputs have no like one to be told by."""
_MANY = 100
"""Training rows from which on words that stand in one row alone are left out: they tell of no other."""
_STEPS = 1000
_PRECISION = 1e-3


def unfit(answers: Sequence[str]) -> str:
    """Why a classifier cannot tell these training answers apart; empty where it can."""
    labels = len(set(answers))
    if labels < 2:
        return "the training rows all have the same answer"
    if labels > MOST_LABELS:
        return f"{labels:,} different answers are more than the {MOST_LABELS} that it holds in memory"
    if len(answers) < LEAST_ROWS * labels:
        rows = f"{len(answers):,} training rows have {labels:,} different answers"
        return f"{rows}, and each should stand in {LEAST_ROWS} rows or more in the mean"
    return ""


class Classifier:
    """Answers with one of the training answers, word for word.

    Of the values of C the one with the most validation rows right is taken, of equals the smallest.
    """

    name = "classifier"

    def __init__(
        self,
        train: Sequence[Example],
        validation: Sequence[Example],
        similarity: Similarity,
        advance: Advance,
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        texts = [asked_text(row) for row in train]
        self._vectors = vectors_for(similarity, texts, least=2 if len(texts) >= _MANY else 1)
        rows, labels = self._vectors.of(texts), [row.answer.strip() for row in train]
        held_out = self._vectors.of([asked_text(row) for row in validation])
        self.right: dict[float, int] = {}
        """Validation rows right, by C."""
        models: dict[float, Any] = {}
        for strength in STRENGTHS:
            models[strength] = LogisticRegression(C=strength, max_iter=_STEPS, tol=_PRECISION)
            models[strength].fit(rows, labels)
            answers = models[strength].predict(held_out)
            pairs = zip(validation, answers, strict=True)
            self.right[strength] = sum(row.answer.strip() == answer for row, answer in pairs)
            advance(1, "")
        self.strength = max(STRENGTHS, key=lambda strength: self.right[strength])
        """The C that was taken."""
        self._model = models[self.strength]

    def answer(self, examples: Sequence[Example], max_new_tokens: int, advance: Advance) -> list[Completion]:
        """The likeliest label of each; it costs time and no tokens. `max_new_tokens` means nothing here."""
        begun = time.perf_counter()
        labels = self._model.predict(self._vectors.of([asked_text(row) for row in examples]))
        seconds = (time.perf_counter() - begun) / len(examples)
        advance(len(examples), "")
        return [Completion(str(label), 0, 0, seconds, "stop") for label in labels]
