"""The part of `report.json` on what is memorised."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from residency.evals.memorisation import Learned
from residency.evals.statistics import Interval
from residency.verdict.part import Count, Part, Share


class SidePart(Part):
    """Base and tuned on rows of one side."""

    side: Literal["train", "validation", "test"]
    """Which one; of training and validation rows a sample."""
    n: Annotated[int, Field(ge=1)]
    """Rows answered."""
    base: Share
    """Share the base got right."""
    tuned: Share
    """Share tuned got right."""
    nll_n: Count
    """Rows whose expected answer's likelihood was taken."""
    base_nll: float | None
    """Mean negative log-likelihood of the expected answers under the base, in nats a token."""
    tuned_nll: float | None
    """The same under tuned."""


class GainPart(Part):
    """What tuned gained on the base, on training rows and on held-out rows."""

    train: float
    """Gain on the training rows: share right, or nats a token."""
    train_interval: Interval
    """Newcombe's interval for paired shares, or Student's for nats."""
    held_out: float
    """Gain on the test rows."""
    held_out_interval: Interval
    """The same for them."""
    excess: float
    """The first gain less the second: what was gained on training rows alone."""
    excess_interval: Interval
    """Made of theirs, by Zou and Donner 2008."""
    carry_over: float | None
    """The second gain as a share of the first, at least 0; none where there may be no first."""
    carry_over_interval: Interval | None
    """By Donner and Zou 2012; its ends are at least 0."""
    sign: Learned
    """`generalises`: surely more than half carries over; `memorises`: surely less."""


class TellingPart(Part):
    """Whether training rows are known from held-out ones by the likelihood of their answers alone.

    The figure of a row is tuned's `nll` as a share of the base's, since some answers are harder to guess.
    """

    share: Share
    """Share of pairs of a training and a test row in which the training row has the lower one."""
    interval: Interval
    """By method 5 of Newcombe 2006. Rows of one group or wording, and near twins in the test, are one."""
    sign: Learned
    """`memorises`: surely more than four pairs of five are told apart."""


class TwinsPart(Part):
    """Tuned on training rows as they are and in other words: given, by a model, or made by small changes."""

    n: Annotated[int, Field(ge=1)]
    """Rows in other words, each paired with its original."""
    original: Share
    """Share right of the originals."""
    twin: Share
    """Share right in other words."""
    difference: float
    """The second less the first."""
    interval: Interval
    """Newcombe's for paired shares."""
    p: Share
    """Exact McNemar, two-sided."""
    sign: Learned
    """`memorises`: surely more than a tenth of the rows is lost."""


class ParaphrasesPart(Part):
    """Training rows that a model behind an API worded anew, each checked before it counts."""

    by: str
    """The model's name in the recipe."""
    rows: Count
    """Training rows that it was to word anew."""
    made: Count
    """Texts that came."""
    kept: Count
    """Of these, those that say something else than any row, and that the model answers as the original is."""
    left_out: dict[str, Count]
    """Rows without a paraphrase that counts, by why."""
    spent: Annotated[float, Field(ge=0)]
    """What these calls cost in the run that made them."""
    file: str
    """The kept ones, in the form that `verdict.paraphrases` reads."""


class RecitalPart(Part):
    """Answers continued from their first 8 tokens: whether the next 16 follow token for token."""

    n: Annotated[int, Field(ge=1)]
    """Training answers that are long enough."""
    held_out_n: Annotated[int, Field(ge=1)]
    """Test answers that are."""
    base: Share
    """Share of the training answers that the base recites."""
    tuned: Share
    """Share of the training answers that tuned recites."""
    held_out: Share
    """Share of the test answers that tuned hits on: inputs and form give them away."""
    over_base: float
    """Tuned less base, on training answers."""
    over_base_interval: Interval
    """Newcombe's for paired shares."""
    over_held_out: float
    """Tuned on training answers less tuned on test answers."""
    over_held_out_interval: Interval
    """Newcombe's for independent shares."""
    sign: Learned
    """`memorises`: surely a tenth more than of test answers, and more than the base."""


class MemorisationPart(Part):
    """Whether tuned learned its training rows by heart or what they have in common."""

    answer: Learned
    """What the signs say; `cannot tell` where there is none, they contradict each other, or no gain is shown
    that could generalise."""
    gained: bool | None = None
    """Whether a gain in rows right is shown, on training or on held-out rows: exact McNemar, by Holm's
    correction over the two; None in reports of before it was told."""
    sides: list[SidePart]
    """Base and tuned on training, validation and test rows."""
    score: GainPart
    """The share right."""
    likelihood: GainPart | None
    """The likelihood of the expected answers; its sign is heard where training rows gained nothing in rows
    right."""
    twins: TwinsPart | None
    """None where no training row has a twin, or a model was to make them and fewer than 10 held."""
    recitals: RecitalPart | None
    """None where fewer than 10 answers of a side have 24 tokens: labels cannot be recited."""
    telling: TellingPart | None = None
    """Its sign is heard where rows right have none; missing where fewer than two rows of a side have one."""
