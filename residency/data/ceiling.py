"""The ceiling: the share of rows that the best possible model could get right on data like this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import betaincinv

from residency.data.rows import Rows, hex_of
from residency.data.twins.find import Twins

LEAST = 30
"""Inputs that must stand more than once before anything is told."""
ALIKE = 0.9
"""Twins at least this similar may stand in for inputs that repeat."""
_LEVEL = 0.95

Sampled = Literal["repeated inputs", "near twins"]


@dataclass(frozen=True)
class Ceiling:
    """What no model can exceed, and how far that is known."""

    value: float
    interval: tuple[float, float]
    """95 %."""
    source: Literal[Sampled, "all rows"]
    """Measured on inputs that stand more than once, on pairs of near ones, or on all rows as they are."""
    inputs: int
    """Inputs that stand more than once, or pairs."""
    rows: int
    """Rows with these inputs that count."""

    def to_json(self) -> dict[str, Any]:
        """The form in which `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Ceiling:
        """The ceiling that `to_json` wrote."""
        return Ceiling(**{**content, "interval": tuple(content["interval"])})


def find_ceiling(rows: Rows, twins: Sequence[Twins] = ()) -> Ceiling | None:
    """The ceiling that repeated inputs show, or None where fewer than `LEAST` of them cannot tell.

    Nor is any told where answers are no labels: two that differ may then both be right.

    `rows` are all usable ones, those included that will be left out because they contradict another.

    Let p(a|x) be how often a careful person who writes such data answers a to the input x. A model
    that gives one answer to x is right at most max_a p(a|x) of the time, so the ceiling is
    C = E[max_a p(a|x)], the mean over rows. An input that stands n times shows n draws of p(.|x);
    inputs are one if their `wording` is. Of rows that ask in the very same characters the first alone is a
    draw: whether the others were answered anew or copied cannot be told, and to count those that contradict
    it but not those that agree would bend the sample. Two figures bracket C, each a share of the draws of
    inputs with several:

    - `held out`: a row is right if its answer is the commonest of the *other* rows with its input (a
      tie of k counts 1/k). Its expectation is at most C, since an answer chosen by a sample is not
      always the best one. Of pairs it is the share that agree.
    - `own`: a row is right if its answer is the commonest of *all* rows with its input. Its
      expectation is at least C, since a maximum of noisy shares is too high.

    They meet as inputs are repeated more often, but of pairs no estimator can tell slips that may
    happen anywhere (C is at the upper figure) from a few inputs that are truly open (C is at the lower
    one): the same pairs come of both (C. F. Manski, Partial Identification of Probability
    Distributions, 2003, chapter 1). So the value is the middle, wrong by half of the bracket at most,
    and the interval goes from the low end of the lower figure's to the high end of the upper one's.

    Assumed is that repeated inputs are like the others, that their rows were answered independently,
    and that answers that differ by more than case and blanks differ in earnest. The first fails where
    somebody has removed repeated rows and left those that contradict each other: then most repeated
    inputs disagree. In that case, and where too few inputs repeat in other characters but as many as that
    contradict themselves, all rows but exact copies count, each input that stands once as right, and the
    value is what the best table from inputs to answers gets right on these very rows: no estimate of new
    rows, but a bound that holds.

    Where neither are `LEAST` inputs, pairs of inputs at least `ALIKE` similar stand in for them:
    "near twins" are not quite the same question, so that figure is rather too low than too high.
    """
    rows = rows.where(~rows.table["is_text"])
    if rows.labels is None:
        return None
    distinct = _first_of_each(rows, "id")
    drawn = _answers(_first_of_each(rows, "input_id"), twins)
    repeated = [counts for counts in drawn.values() if counts.total() > 1]
    if len(repeated) >= LEAST and (found := _bracket(repeated, "repeated inputs")):
        return found
    standing = [counts for counts in _answers(distinct).values() if counts.total() > 1]
    if len(repeated) >= LEAST or sum(len(counts) > 1 for counts in standing) >= LEAST:
        return _bound(standing, len(distinct))
    pairs = _pairs_of_twins(drawn, twins)
    return _bracket(pairs, "near twins") if len(pairs) >= LEAST else None


def _first_of_each(rows: Rows, key: str) -> Rows:
    return rows.take(np.sort(np.unique(rows.table[key], return_index=True)[1]))


def _answers(rows: Rows, twins: Iterable[Twins] = ()) -> dict[str, Counter[str]]:
    """How often each answer is given to a wording of several rows, or of a twin; case and blanks aside."""
    wordings = rows.table["wording"]
    _, number, times = np.unique(wordings, return_inverse=True, return_counts=True)
    near = {int(wording, 16) for twin in twins for wording in (twin.one, twin.other)}
    asked = (times[number] > 1) | np.isin(wordings, np.fromiter(near, np.uint64, len(near)))
    rows = rows.where(asked)
    folded = rows.look_at_answers(lambda answer: " ".join(answer.casefold().split()))
    answers: dict[str, Counter[str]] = {}
    for place, wording in enumerate(rows.table["wording"].tolist()):
        answers.setdefault(hex_of(wording), Counter())[folded[place]] += 1
    return answers


def _bracket(groups: Sequence[Counter[str]], source: Sampled) -> Ceiling | None:
    """The middle of both figures; None where the rows of most inputs disagree, so that they are no sample."""
    sizes = [counts.total() for counts in groups]
    own, held_out = [max(counts.values()) for counts in groups], [right_held_out(c) for c in groups]
    if 2 * sum(held_out) < sum(sizes):
        return None
    value = (sum(held_out) + sum(own)) / (2 * sum(sizes))
    interval = clustered_interval(held_out, sizes)[0], clustered_interval(own, sizes)[1]
    return Ceiling(value, interval, source, len(groups), sum(sizes))


def _bound(groups: Sequence[Counter[str]], rows: int) -> Ceiling:
    """What the best table of inputs and answers gets right on all rows, those that stand once included."""
    own, sizes = [max(counts.values()) for counts in groups], [counts.total() for counts in groups]
    alone = [1] * (rows - sum(sizes))
    value = (sum(own) + len(alone)) / rows
    return Ceiling(value, clustered_interval(own + alone, sizes + alone), "all rows", len(groups), sum(sizes))


def right_held_out(counts: Counter[str]) -> float:
    """Rows of one input whose answer is the commonest of the other rows; a tie of k counts 1/k."""
    right = 0.0
    for answer, count in counts.items():
        others = counts - Counter([answer])
        best = max(others.values(), default=0)
        if best and others[answer] == best:
            right += count / sum(other == best for other in others.values())
    return right


def clustered_interval(right: Sequence[float], rows: Sequence[int]) -> tuple[float, float]:
    """95 % for the share `sum(right) / sum(rows)` of clusters of rows, which are not independent inside.

    Clopper and Pearson's limits at the effective number of rows, p (1 - p) / v, where v is the
    linearised variance of the ratio (E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998) 193).
    Where all are right, or none, the variance tells nothing and each cluster counts as one row.
    """
    total, clusters = sum(rows), len(rows)
    share = sum(right) / total
    residuals = sum((r - share * n) ** 2 for r, n in zip(right, rows, strict=True))
    variance = clusters / max(1, clusters - 1) * residuals / total**2
    effective = min(share * (1 - share) / variance, total) if variance > 0 else clusters
    x, tail = share * effective, (1 - _LEVEL) / 2
    low = 0.0 if x <= 0 else float(betaincinv(x, effective - x + 1, tail))
    high = 1.0 if x >= effective else float(betaincinv(x + 1, effective - x, 1 - tail))
    return low, high


def _pairs_of_twins(answers: Mapping[str, Counter[str]], twins: Iterable[Twins]) -> list[Counter[str]]:
    """The answers to two inputs that are nearly the same, the most similar first; each input stands once."""
    used: set[str] = set()
    pairs = []
    for twin in sorted(twins, key=lambda twin: (-twin.similarity, twin)):
        alike = twin.similarity >= ALIKE and twin.one in answers and twin.other in answers
        if alike and not used & {twin.one, twin.other}:
            used |= {twin.one, twin.other}
            pairs.append(answers[twin.one] + answers[twin.other])
    return pairs
