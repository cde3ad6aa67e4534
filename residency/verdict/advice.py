"""The advice: what each way costs, and the cheapest that is shown to be good enough.

A candidate is not worse than the best if it is not worse than every other one. Each of these is tested
alone and the largest p stands for all: an intersection-union test (R. L. Berger, Technometrics 24 (1982)
295), so nobody need know which is the best. The cheapest of several candidates is then chosen, so these
p-values count as several: Holm's correction.
"""

from __future__ import annotations

from collections.abc import Sequence

from residency.core.recipe import Prices, Verdict
from residency.evals.noninferiority import exact_p_of_loss
from residency.evals.scored import Scored
from residency.evals.statistics import effective_rows, holm, own_cluster_each, paired
from residency.verdict.advice_schema import AdvicePart, CostPart, KnowledgePart
from residency.verdict.costs import break_even, call_cost, time_cost
from residency.verdict.decide import by_row
from residency.verdict.knowledge import closed_book, looked_up, own_words
from residency.verdict.report_schema import CandidateSummary
from residency.verdict.ways import TRAINED, TUNED, TUNED_RETRIEVAL


def advise(
    candidates: Sequence[CandidateSummary],
    rows: Sequence[Scored],
    settings: Verdict,
    prices: Prices,
    seconds_to_start: float,
) -> AdvicePart:
    """The advice on candidates and their scored rows; `seconds_to_start` is what training took.

    The tuned model with retrieved text in its prompt is told and no part of the choice, as in the gate.
    """
    tolerance = max(settings.tolerance, settings.margin)
    p_worse = worse(rows, [c.name for c in candidates], tolerance, settings.confidence)
    shown = {name for name, p in p_worse.items() if p < 1 - settings.confidence}
    costs = [
        _cost(candidate, candidates, prices, seconds_to_start)
        | {"p_worse": p_worse[candidate.name], "not_worse": candidate.name in shown}
        for candidate in candidates
    ]
    good = [
        candidate
        for candidate in candidates
        if candidate.name in shown - TRAINED and candidate.passed and candidate.mean >= settings.minimum
    ]
    price = comparable(candidates, prices)
    cheapest = min((candidate.name for candidate in good), key=price.__getitem__, default=None)
    return AdvicePart(
        costs=[CostPart(**cost) for cost in costs],
        currency=prices.currency,
        priced=all(call_cost(candidate, prices) is not None for candidate in candidates),
        tolerance=tolerance,
        cheapest=cheapest,
        saves=cheapest is not None and price[cheapest] <= price[TUNED],
        knowledge=_knowledge(rows, candidates, settings.confidence),
    )


def worse(
    rows: Sequence[Scored], names: Sequence[str], tolerance: float, confidence: float
) -> dict[str, float]:
    """For each candidate the p of the hypothesis that another is better by the tolerance or more.

    That of the tuned model with retrieval, which is no part of the choice, is not corrected.
    """
    others = [name for name in names if name != TUNED_RETRIEVAL]
    raw = {}
    for name in names:
        pairs = (_p(rows, other, name, tolerance, confidence) for other in others if other != name)
        raw[name] = max(pairs)
    return raw | dict(zip(others, holm([raw[name] for name in others]), strict=True))


def _p(rows: Sequence[Scored], other: str, name: str, tolerance: float, confidence: float) -> float:
    """Of the hypothesis that `name` is right on fewer rows than `other` by the tolerance or more."""
    ours, theirs = by_row(rows, name), by_row(rows, other)
    differences = [float(row.passed) - float(theirs[key].passed) for key, row in ours.items()]
    clusters = own_cluster_each(row.cluster for row in ours.values())
    worth = effective_rows(differences, clusters, confidence) / len(differences)
    gained, lost = differences.count(1.0), differences.count(-1.0)
    return exact_p_of_loss(gained * worth, lost * worth, len(differences) * worth, tolerance)


def comparable(candidates: Sequence[CandidateSummary], prices: Prices) -> dict[str, float]:
    """Of each candidate what a call costs; in seconds unless every one has a price."""
    costs = {candidate.name: call_cost(candidate, prices) for candidate in candidates}
    priced = {name: cost for name, cost in costs.items() if cost is not None}
    seconds = {candidate.name: candidate.seconds_per_call for candidate in candidates}
    return priced if len(priced) == len(costs) else seconds


def _cost(
    candidate: CandidateSummary, candidates: Sequence[CandidateSummary], prices: Prices, seconds: float
) -> dict[str, object]:
    trained = candidate.name in TRAINED
    a_call = call_cost(candidate, prices)
    right = None if a_call is None or not candidate.mean else a_call / candidate.mean
    return {
        "name": candidate.name,
        "per_thousand": None if a_call is None else 1000 * a_call,
        "per_thousand_right": None if right is None else 1000 * right,
        "to_start": time_cost(seconds if trained else 0.0, prices),
        "seconds_to_start": seconds if trained else 0.0,
        "break_even": _break_even(candidate.name, candidates, prices, seconds) if trained else {},
    }


def _break_even(
    trained: str, candidates: Sequence[CandidateSummary], prices: Prices, seconds: float
) -> dict[str, int | None]:
    """Against each candidate without training; empty where calls have prices and training has none."""
    if prices.tokens and prices.hour is None:
        return {}
    priced = time_cost(seconds, prices)
    to_start, costs = seconds if priced is None else priced, comparable(candidates, prices)
    untrained = [candidate.name for candidate in candidates if candidate.name not in TRAINED]
    return {name: break_even(to_start, costs[name], costs[trained]) for name in untrained}


def _knowledge(
    rows: Sequence[Scored], candidates: Sequence[CandidateSummary], confidence: float
) -> KnowledgePart | None:
    without, found = closed_book(candidates), looked_up(candidates)
    if without is None:
        return None
    gain = None
    if found is not None:
        ours, theirs = by_row(rows, found.name), by_row(rows, without.name)
        passes = [theirs[key].passed for key in ours], [row.passed for row in ours.values()]
        gain = paired(*passes, confidence, own_cluster_each(row.cluster for row in ours.values()))
    return KnowledgePart(
        own_words=own_words([row for row in rows if row.split != "suite"]),
        closed_book=without.mean,
        closed_book_interval=without.interval,
        looked_up=found and found.name,
        gain=gain and gain.difference,
        gain_interval=gain and gain.interval,
    )
