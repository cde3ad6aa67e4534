"""The verdict's first sentences: what to do, by which evidence, and whether training pays."""

from __future__ import annotations

from residency.core.progress import duration
from residency.verdict.advice_schema import AdvicePart, KnowledgePart
from residency.verdict.figures import count, p_value, percent, percent_range, points, points_range
from residency.verdict.knowledge import signs, suspicious
from residency.verdict.report_schema import CandidateSummary, ComparisonPart, Gate, Recommendation
from residency.verdict.ways import TUNED, TUNED_RETRIEVAL, asked_of, how_asked


def what_to_do(
    recommend: Recommendation, gate: Gate, way: CandidateSummary | None, pair: ComparisonPart
) -> str:
    """The most important sentence; `way` is what is recommended, `pair` tuned against the best baseline."""
    if way is None and gate == "do not ship":
        return "Do not ship this model; no other way is shown to be good enough either."
    if way is None:
        return f"These rows do not tell whether fine-tuning does more than {pair.a}."
    right = f"right on {percent(way.mean)} of {count(way.n)} held-out rows"
    if way.name == TUNED:
        more = f"{points(pair.difference)} points to the best way without training, {pair.a}"
        return f"Fine-tune: the tuned model is {right}, {more}."
    instead = f"{_advice(recommend, way.name)}. The candidate {way.name} is {right}"
    if gate == "ship":
        return f"The tuned model may ship, but you need none: {instead}, and a call of it costs no more."
    return f"Do not fine-tune: {instead}."


def _advice(recommend: Recommendation, way: str) -> str:
    if recommend == "classifier":
        return "train a plain classifier"
    looks_up = "look up what fits the input and " if recommend == "retrieve" else ""
    return f"{looks_up}prompt {asked_of(way)}"


def as_good(way: str | None, gate: Gate, advice: AdvicePart) -> str | None:
    """What shows that the recommended way is no worse than the best; nothing where that was not shown."""
    if way is None or way != advice.cheapest:
        return None
    cost = next(cost for cost in advice.costs if cost.name == way)
    others = sum(cost.name != TUNED_RETRIEVAL for cost in advice.costs)
    tolerance, p = f"{100 * advice.tolerance:g} points or more", p_value(cost.p_worse)
    shown = (
        f"It is shown not to be worse than any other candidate by {tolerance} (p "
        f"{p if p.startswith('<') else '= ' + p} after Holm's correction for {others} candidates), "
        "and of those without training for which that holds it is the cheapest."
    )
    if gate != "ship":
        return shown
    return f"{shown} The gate says ship since the tuned model is better than it, but not by {tolerance}."


def knowledge(recommend: Recommendation, part: KnowledgePart | None) -> str | None:
    """The signs of answers that must be looked up, where they decide or could."""
    if part is None or not suspicious(part):
        return None
    told = (
        f"{percent(part.own_words)} of the words of the answers stand neither in their input nor in the "
        f"label set; without looking anything up the best prompt is right on {percent(part.closed_book)} "
        f"({percent_range(part.closed_book_interval)})"
    )
    decides = recommend in ("retrieve", "cannot tell") and signs(part)
    if decides and part.gain is not None and part.gain_interval is not None:
        gain = f"{points(part.gain)} points ({points_range(part.gain_interval)})"
        return f"Signs of a knowledge task: {told}; {part.looked_up} changes that by {gain}."
    if recommend == "cannot tell" and how_asked(part.looked_up or "") != "documents":
        return f"Signs of a knowledge task: {told}. Name a folder that holds the facts: candidates.documents."
    return None


def pays_back(way: str | None, pair: ComparisonPart, advice: AdvicePart) -> str | None:
    """When training has paid for itself: against the recommended way, or the best baseline."""
    tuned = next(cost for cost in advice.costs if cost.name == TUNED)
    against = pair.a if way in (None, TUNED) else way
    if against not in tuned.break_even or (way != TUNED and not tuned.not_worse):
        return None
    calls, trained = tuned.break_even[against], f"Training took {duration(tuned.seconds_to_start)}"
    if calls is not None:
        return f"{trained}; calls cheaper than those of {against} pay it back after {count(calls)} of them."
    if way != TUNED:
        return None
    return f"{trained}; a call of tuned costs no less than one of {against}, so only quality pays for it."
