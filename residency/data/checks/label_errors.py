"""Rows whose label a model that never saw them doubts (confident learning)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from residency.core.recipe import Data
from residency.data.checks.registry import file_check
from residency.data.findings import Finding, Flag
from residency.data.rows import Rows
from residency.models.embedding import embed, is_installed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 20_000
"""Rows of a file from which on it is not done: the time grows with rows times labels."""
LEAST = 100
"""Rows below which cross-validation tells too little."""
FOLDS = 5
_DIMENSIONS = 256
_STRENGTH = 30.0
"""Inverse of the weight of the L2 penalty."""
_STEPS = 200
_EMBEDDED = 1_000_000
"""Characters up to which texts are compared by meaning; beyond them, by their words, which is cheaper."""
_BATCH = 64
_SEED = 0


class Doubted(NamedTuple):
    """A row whose label is doubted."""

    row: int
    label: str
    """The one that the model gives it."""
    probability: float
    """What the model gives that label."""
    given: float
    """What it gives the row's own."""
    nearest: int
    """The row of that label that is most like it."""


@file_check(
    "label-error",
    "warning",
    meaning="rows like it have another label, so this one is perhaps wrong.",
    fix="Read these rows, the first ones first, and correct the labels that are wrong.",
)
def label_errors(rows: Rows, data: Data) -> Iterator[Flag]:
    """The rows that confident learning picks, each with the nearest row of the label it should have."""
    if data.label_errors == "off" or not LEAST <= len(rows) <= MOST or rows.labels is None:
        return
    from residency.data.twins.nearest import asked_text

    counts = Counter(rows.labels)
    known = [row.example for row, label in zip(rows, rows.labels, strict=True) if counts[label] >= FOLDS]
    labels = [label for label in rows.labels if counts[label] >= FOLDS]
    texts = [asked_text(example) for example in known]
    if len(set(labels)) < 2 or len(set(texts)) < 2:
        return
    by_meaning = is_installed() and sum(map(len, texts)) <= _EMBEDDED
    for doubted in find_doubted(meanings(texts) if by_meaning else word_counts(texts), labels):
        example, twin = known[doubted.row], known[doubted.nearest]
        sure = min(doubted.probability, 0.99)  # rounding must not say that it is certain
        detail = f"labelled {labels[doubted.row]!r}, rows like it {doubted.label!r} (p {sure:.2f})"
        yield Flag(example.source, detail, twin.source, suspicion=doubted.probability - doubted.given)


def note_unsearched(files: Iterable[Rows], data: Data) -> list[Finding]:
    """A note that files of labels are too long to be searched, where they are."""
    long = [rows for rows in files if data.label_errors == "auto" and len(rows) > MOST]
    told = [rows for rows in long if rows.labels is not None]
    if not told:
        return []
    names = ", ".join(rows.source(0).file for rows in told)
    what = f"Doubtful labels were not sought in {names}: more than {MOST:,} rows."
    return [
        Finding("label-errors-unsearched", "note", what, (), "Check a part of the rows as a file of its own.")
    ]


def find_doubted(vectors: NDArray[np.float32], labels: Sequence[str]) -> list[Doubted]:
    """The rows whose label is doubted, the most doubted first; the same for the same rows.

    Probabilities come from a logistic regression that did not see the row (5 folds). A row is picked
    where those of another label are above their mean over the rows of that label, by both rules of
    C. G. Northcutt, L. Jiang, I. L. Chuang, arXiv:1911.00068, section 3 (by class and by noise rate).
    None is where fewer than half of the rows are given their own label: that model is not to be believed.
    """
    import numpy as np
    from cleanlab.filter import find_label_issues

    names = sorted(set(labels))
    number = {name: i for i, name in enumerate(names)}
    given = np.array([number[label] for label in labels])
    probabilities = _out_of_fold(vectors, given)
    predicted = probabilities.argmax(axis=1)
    if np.mean(predicted == given) < 0.5:
        return []
    doubted = find_label_issues(
        given, probabilities, filter_by="both", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    return [
        Doubted(
            row,
            names[predicted[row]],
            float(probabilities[row, predicted[row]]),
            float(probabilities[row, given[row]]),
            _nearest(vectors, row, np.flatnonzero(given == predicted[row])),
        )
        for row in doubted.tolist()
        if predicted[row] != given[row]
    ]


def meanings(texts: Sequence[str]) -> NDArray[np.float32]:
    """Rows of length 1 by a sentence encoder, texts of like length together, so that little is padded."""
    import numpy as np

    order = np.array(sorted(range(len(texts)), key=lambda i: len(texts[i])))
    parts = [embed([texts[i] for i in part]) for part in np.array_split(order, -(-len(texts) // _BATCH))]
    vectors: NDArray[np.float32] = np.concatenate(parts)[np.argsort(order)]
    return vectors


def word_counts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Rows of length 1: weighted counts of words, pairs of words and pieces of words, in few dimensions."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    from residency.models.vectors import WordVectors

    counts = WordVectors(texts, least=2).of(texts)
    if counts.shape[1] <= _DIMENSIONS:
        return counts.toarray().astype("float32")
    fewer = TruncatedSVD(min(_DIMENSIONS, len(texts) - 1), random_state=_SEED)
    dense: NDArray[np.float32] = normalize(fewer.fit_transform(counts)).astype("float32")
    return dense


def _out_of_fold(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities of the labels for each row, by a model that was fitted without its fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED)
    model = LogisticRegression(C=_STRENGTH, max_iter=_STEPS)
    found: NDArray[np.float64] = cross_val_predict(model, vectors, labels, cv=folds, method="predict_proba")
    return found


def _nearest(vectors: NDArray[np.float32], row: int, others: NDArray[np.int64]) -> int:
    return int(others[(vectors[others] @ vectors[row]).argmax()])
