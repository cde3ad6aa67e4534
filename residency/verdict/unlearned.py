"""Training rows that the tuned model answers otherwise than they do, though it was trained on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from residency.core.records import Example, Likelihood
from residency.verdict.teaching import answer_fields

SCREENED = 5_000
"""Training rows at most whose own answers' likelihood is taken."""
ASKED = 200
"""Of them the least likely ones that are asked, and at most as many of those that failures blame."""


@dataclass(frozen=True)
class Unlearned:
    """What the tuned model answers to a row that it was trained on, and how much surer it is of that."""

    given: str
    differs: str
    """Where answers are fields: those that it gives otherwise, with its values."""
    margin: float
    """Its probability of its own answer less that of the row's: both whole, with their ends."""
    nll: float
    """Negative log-likelihood of the row's answer, in nats a token."""

    @property
    def detail(self) -> str:
        """The sign in a line."""
        told = self.differs or repr(self.given)
        return f"trained on it, the tuned model answers {told} (margin {self.margin:.2f})"


def unlearned(example: Example, given: str, own: Likelihood, other: Likelihood) -> Unlearned | None:
    """The sign against `example`'s answer; None where that is as likely as the one given.

    A network learns what rows share before it learns those that contradict the rest, so that an answer which
    is still unlikely after training is often wrong (Arpit et al. 2017, arXiv:1706.05394). The margin is that
    of Pleiss et al. (2020, arXiv:2001.10528), after the last step and in probabilities: the scale on which
    doubted labels are told. It is the whole answer's and not a token's: one wrong value in a long answer
    would be lost in a mean, and who accepts a suggestion accepts all of it. So it is small where an answer
    can be put in many ways, however wrong it is.

    Args:
        example: The row.
        given: What the tuned model answers to it.
        own: The likelihood of the row's answer, its end included.
        other: The same of what was given.
    """
    if other.logprob <= own.logprob:
        return None
    margin = math.exp(other.logprob) - math.exp(own.logprob)
    return Unlearned(given, _differences(example.answer, given), margin, -own.logprob / own.tokens)


def _differences(answer: str, given: str) -> str:
    """The fields in which `given` differs from `answer`, as `key: value`; empty where one has no fields."""
    own, other = answer_fields(answer), answer_fields(given)
    if not own or not other:
        return ""
    told = [f"{key}: {other[key]!r}" for key in other if key not in own or own[key] != other[key]]
    return ", ".join([*told, *(f"no {key}" for key in own if key not in other)])
