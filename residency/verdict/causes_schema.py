"""The report's part on failures and the training rows that explain them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from residency.verdict.part import Part

Cause = Literal["cut off", "form", "unseen label", "doubted row", "far", "taught", "confused", "other"]


class NearRowPart(Part):
    """A training row like a failed one."""

    source: str
    """`file:row`."""
    prompt: str
    """What it asks."""
    answer: str
    """What it answers."""
    cosine: float
    """How like the failed row it is, at most 1; by gradients, how like its gradient is to that of the
    wrong answer."""
    teaches_wrong: bool
    """Whether its answer is the wrong one that was given; where answers are no labels, whether it has a
    field as it was wrongly given, or else is nearer to the one given than both are to the one wanted."""
    wrong_fields: list[str] = []
    """Where answers are fields: those in which it has the wrong value that was given."""
    checks: list[str]
    """Checks that doubt its answer."""


class TracedPart(Part):
    """A failure with its cause and the training rows most like it."""

    cause: Cause
    """The first cause that fits; docs/compare.md has them in order."""
    pair: str
    """Where answers are labels: the one wanted and the one given."""
    example_id: str
    """Hash of the row's content."""
    source: str
    """`file:row`."""
    prompt: str
    """The last user turn."""
    expected: str
    """The answer wanted."""
    got: str
    """The answer given."""
    ranked_by: Literal["similarity", "gradients"] = "similarity"
    """How the rows beside it were found."""
    nearest: list[NearRowPart]
    """At most three of its ten nearest training rows, those that teach the wrong answer first; by gradients,
    the three that teach it most."""


class TracingPart(Part):
    """What it took to rank training rows by the adapter's gradients."""

    failures: Annotated[int, Field(ge=0)]
    """Failures for which it was done, 200 at most; the others keep their nearest rows."""
    rows: Annotated[int, Field(ge=0)]
    """Training rows looked at: those nearest to the failures."""
    left_out: Annotated[int, Field(ge=0)] = 0
    """More of them, left out since a row alone does not fit into memory."""
    seconds: Annotated[float, Field(ge=0)]
    """Loading the model included."""


class CausePart(Part):
    """Failures with one cause."""

    cause: Cause
    """What they have in common."""
    pair: str
    """Where answers are labels: the one wanted and the one given."""
    n: Annotated[int, Field(ge=1)]
    """Failures with this cause and pair."""
    meaning: str
    """The cause, in plain words."""
    fix: str
    """What to do about it."""
    failures: list[TracedPart]
    """At most three of them; all stand in the run's `causes.jsonl`."""
