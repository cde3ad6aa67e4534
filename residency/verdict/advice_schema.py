"""The part of `report.json` that says what each way costs and which is the cheapest good one."""

from __future__ import annotations

from residency.evals.statistics import Interval
from residency.verdict.part import Count, Part, Share


class CostPart(Part):
    """What a candidate costs, and whether it is as good as any other."""

    name: str
    """The candidate."""
    per_thousand: float | None
    """1,000 calls, by its tokens where these have a price, else by its seconds; none without a price."""
    per_thousand_right: float | None
    """1,000 correct answers; none without a price, and where nothing was right."""
    to_start: float | None
    """The training's measured seconds at the price of an hour, 0 without training; none without a price."""
    seconds_to_start: float
    """The training's measured seconds, a sweep's included; 0 without training."""
    break_even: dict[str, Count | None]
    """Calls after which training has paid for itself, against each candidate that needs none; none: never."""
    p_worse: Share
    """Of the hypothesis that another candidate is right on more rows by the tolerance or more, after Holm."""
    not_worse: bool
    """Whether `p_worse` refutes that."""


class KnowledgePart(Part):
    """Signs of a task whose answers must be looked up."""

    own_words: Share
    """Share of the answers' content words that stand neither in their input nor in the label set."""
    closed_book: Share
    """Share of rows that the best prompt gets right without looking anything up."""
    closed_book_interval: Interval
    """Wilson's interval of `closed_book`."""
    looked_up: str | None
    """The best candidate that looks something up, without training; none if none was asked."""
    gain: float | None
    """Its share less `closed_book`."""
    gain_interval: Interval | None
    """Newcombe's paired interval of `gain`."""


class AdvicePart(Part):
    """What each way to answer the task costs, and the cheapest that is good enough."""

    costs: list[CostPart]
    """Each candidate, in the order of `candidates`."""
    currency: str
    """Of all amounts, as the recipe names it."""
    priced: bool
    """Whether every candidate has a price; else the cheapest is the one with the fewest seconds a call."""
    tolerance: Share
    """Being right on less than this share of rows fewer counts as not worse."""
    cheapest: str | None
    """The cheapest candidate without training that is not worse than any other and reaches the minimum."""
    saves: bool
    """Whether a call of `cheapest` costs no more than one of tuned."""
    knowledge: KnowledgePart | None
    """Signs that answers must be looked up; none where no prompt was asked without looking up."""
