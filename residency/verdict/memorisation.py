"""Memorised or understood: the base's and tuned's rows on each side become figures, and these an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from residency.evals.memorisation import (
    LEAST_RECITALS,
    Estimate,
    carry_over,
    excess,
    judge,
    mean_gain,
    sign_of_carry_over,
    sign_of_reciting,
    sign_of_telling,
    sign_of_twins,
    told_apart,
)
from residency.evals.scored import Scored, Split
from residency.evals.statistics import Paired, holm, own_cluster_each, paired, unpaired
from residency.verdict.memorisation_schema import (
    GainPart,
    MemorisationPart,
    RecitalPart,
    SidePart,
    TellingPart,
    TwinsPart,
)

Measured = GainPart | TellingPart | TwinsPart | RecitalPart
Pair = tuple[Scored, Scored]
"""A row as the base answered it, and as tuned did."""


def measure_memorisation(rows: Sequence[Scored], confidence: float) -> MemorisationPart | None:
    """All figures and the answer; none where the base was not asked training rows or the test.

    Rows are paired by where they stand; a side without rows or likelihoods is left out.
    """
    splits: tuple[Split, ...] = ("train", "validation", "test")
    pairs = {split: _pairs(rows, split) for split in splits}
    if not pairs["train"] or not pairs["test"]:
        return None
    score = _gain(_passes(pairs["train"], confidence), _passes(pairs["test"], confidence))
    likelihood = _likelihood(pairs, confidence)
    telling = _telling(pairs["train"], pairs["test"], confidence)
    twins, recitals = _twins(rows, confidence), _recitals(rows, confidence)
    gained = _has_gained(pairs["train"], pairs["test"], confidence)
    heard: list[Measured | None] = [score, twins, recitals]
    if score.sign == "cannot tell":
        heard += [telling, likelihood if score.carry_over is None else None]
    return MemorisationPart(
        answer=judge((part.sign for part in heard if part), gained),
        gained=gained,
        sides=[_side(split, pairs[split]) for split in splits if pairs[split]],
        score=score,
        likelihood=likelihood,
        telling=telling,
        twins=twins,
        recitals=recitals,
    )


def _pairs(rows: Sequence[Scored], split: Split) -> list[Pair]:
    """Rows of a split that both were asked, in the order of tuned's."""
    base = {
        (row.source, row.example_id): row for row in rows if row.split == split and row.candidate == "base"
    }
    tuned = [row for row in rows if row.split == split and row.candidate == "tuned"]
    return [(base[row.source, row.example_id], row) for row in tuned if (row.source, row.example_id) in base]


def _side(split: Split, pairs: Sequence[Pair]) -> SidePart:
    likely = _with_nll(pairs)
    return SidePart(
        side=split,
        n=len(pairs),
        base=fmean(base.passed for base, _ in pairs),
        tuned=fmean(tuned.passed for _, tuned in pairs),
        nll_n=len(likely),
        base_nll=fmean(before for before, _, _ in likely) if likely else None,
        tuned_nll=fmean(after for _, after, _ in likely) if likely else None,
    )


def _with_nll(pairs: Sequence[Pair]) -> list[tuple[float, float, str]]:
    """Base's and tuned's, and the cluster, of the rows that have a likelihood."""
    return [
        (base.nll, tuned.nll, tuned.cluster)
        for base, tuned in pairs
        if base.nll is not None and tuned.nll is not None
    ]


def _passes(pairs: Sequence[Pair], confidence: float) -> Estimate:
    """Share of rows right, tuned less base."""
    found = _paired(pairs, confidence)
    return Estimate(found.difference, found.interval)


def _paired(pairs: Sequence[Pair], confidence: float) -> Paired:
    clusters = own_cluster_each(tuned.cluster for _, tuned in pairs)
    passes = [base.passed for base, _ in pairs], [tuned.passed for _, tuned in pairs]
    return paired(*passes, confidence, clusters)


def _has_gained(train: Sequence[Pair], test: Sequence[Pair], confidence: float) -> bool:
    """Whether tuned is shown to be right on more rows than the base, on one side at least."""
    found = [_paired(side, confidence) for side in (train, test)]
    adjusted = holm([one.p for one in found])
    return any(one.difference > 0 and p < 1 - confidence for one, p in zip(found, adjusted, strict=True))


def _likelihood(pairs: Mapping[Split, Sequence[Pair]], confidence: float) -> GainPart | None:
    """Nats a token gained; none where a side has too few rows for an interval."""
    gains = []
    for split in ("train", "test"):
        likely = _with_nll(pairs[split])
        if not likely:
            return None
        before, after, clusters = zip(*likely, strict=True)
        gains.append(mean_gain(before, after, own_cluster_each(clusters), confidence))
    return _gain(*gains) if all(math.isfinite(gain.interval.low) for gain in gains) else None


def _gain(train: Estimate, held_out: Estimate) -> GainPart:
    share, alone = carry_over(train, held_out), excess(train, held_out)
    return GainPart(
        train=train.value,
        train_interval=train.interval,
        held_out=held_out.value,
        held_out_interval=held_out.interval,
        excess=alone.value,
        excess_interval=alone.interval,
        carry_over=share and share.value,
        carry_over_interval=share and share.interval,
        sign=sign_of_carry_over(share),
    )


def _telling(train: Sequence[Pair], test: Sequence[Pair], confidence: float) -> TellingPart | None:
    sides = [[one for one in _with_nll(pairs) if one[0] > 0] for pairs in (train, test)]
    seen, unseen = ([after / before for before, after, _ in side] for side in sides)
    apart = [len(set(own_cluster_each(cluster for _, _, cluster in side))) for side in sides]
    if min(apart) < 2:
        return None
    found = told_apart(seen, unseen, (apart[0], apart[1]), confidence)
    return TellingPart(share=found.value, interval=found.interval, sign=sign_of_telling(found.interval))


def _twins(rows: Sequence[Scored], confidence: float) -> TwinsPart | None:
    originals = {row.source: row for row in rows if row.split == "train" and row.candidate == "tuned"}
    twins = [row for row in rows if row.split == "twin" and row.candidate == "tuned"]
    if not twins:
        return None
    clusters = own_cluster_each(originals[twin.source].cluster for twin in twins)
    passes = [originals[twin.source].passed for twin in twins], [twin.passed for twin in twins]
    found = paired(*passes, confidence, clusters)
    return TwinsPart(
        n=found.n,
        original=(found.both + found.only_a) / found.n,
        twin=(found.both + found.only_b) / found.n,
        difference=found.difference,
        interval=found.interval,
        p=found.p,
        sign=sign_of_twins(found.interval),
    )


def _recitals(rows: Sequence[Scored], confidence: float) -> RecitalPart | None:
    seen, unseen = _pairs(rows, "recital"), _pairs(rows, "recital-test")
    if min(len(seen), len(unseen)) < LEAST_RECITALS:
        return None
    over_base = _passes(seen, confidence)
    tuned = sum(tuned.passed for _, tuned in seen)
    held_out = sum(tuned.passed for _, tuned in unseen)
    over_held_out = unpaired(held_out, len(unseen), tuned, len(seen), confidence)
    return RecitalPart(
        n=len(seen),
        held_out_n=len(unseen),
        base=fmean(base.passed for base, _ in seen),
        tuned=tuned / len(seen),
        held_out=held_out / len(unseen),
        over_base=over_base.value,
        over_base_interval=over_base.interval,
        over_held_out=over_held_out.difference,
        over_held_out_interval=over_held_out.interval,
        sign=sign_of_reciting(over_held_out.interval, over_base.interval),
    )
