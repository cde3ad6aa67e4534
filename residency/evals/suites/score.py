"""Scoring a suite's items, by what is answered or by how likely the right answer is.

The rows are of the same form as those of a task, so that base and tuned are compared item by item:
`split` is `suite`, `source` says `suite/kind`, and `example_id` is the item's id.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

from residency.core.records import Completion, Likelihood
from residency.evals.scored import Scored
from residency.evals.scorers import Score
from residency.evals.scorers.score import differs, quote
from residency.evals.suites.items import Item


def score_answers(
    candidate: str, suite: str, items: Sequence[Item], completions: Sequence[Completion]
) -> list[Scored]:
    """Score what was answered to each item."""
    return [
        _row(candidate, suite, item, grade_answer(item, completion.text), completion)
        for item, completion in zip(items, completions, strict=True)
    ]


def score_likelihoods(
    candidate: str, suite: str, items: Sequence[Item], likelihoods: Sequence[Sequence[Likelihood]]
) -> list[Scored]:
    """Score how likely each of an item's options is, the right one first; the likeliest is `got`.

    Nothing is generated, so that tokens and seconds are 0.
    """
    rows = []
    for item, options in zip(items, likelihoods, strict=True):
        place, score = grade_likelihoods(item.options, options)
        told = Completion(item.options[place], 0, 0, 0.0, "stop")
        rows.append(_row(candidate, suite, item, score, told))
    return rows


def grade_answer(item: Item, text: str) -> Score:
    """Passes what meets the item's check; or of all answers, right and wrong, names a right one first."""
    if item.check is not None:
        problem = item.check.problem(item.request, text)
    else:
        places = {option: _find(option, text) for option in (*item.answers, *item.wrong)}
        named = [option for option, place in places.items() if place >= 0]
        first = min(named, key=lambda option: (places[option], -len(option)), default=text)
        problem = None if first in item.answers else differs("", item.answers[0], first)
    return Score(float(problem is None), problem is None, problem or "")


def grade_likelihoods(options: Sequence[str], likelihoods: Sequence[Likelihood]) -> tuple[int, Score]:
    """The place of the likeliest option, and the share of probability that the first, right one has.

    Log-probabilities are divided by their tokens, so that long options are at no disadvantage (Brown et
    al. 2020, arXiv:2005.14165, section 2.4). Passed is a right option likelier than every other.
    """
    means = [likelihood.logprob / likelihood.tokens for likelihood in likelihoods]
    best = max(range(1, len(means)), key=means.__getitem__)
    share = math.exp(means[0] - max(means)) / sum(math.exp(mean - max(means)) for mean in means)
    if means[0] > means[best]:
        return 0, Score(share, True, "")
    return best, Score(share, False, f"{quote(options[best])} is likelier than {quote(options[0])}")


def _find(option: str, text: str) -> int:
    """Where the option stands as whole words, in capitals or not; -1 where it does not."""
    found = re.search(rf"(?<!\w){re.escape(_plain(option))}(?!\w)", _plain(text))
    return found.start() if found else -1


def _plain(text: str) -> str:
    """Without capitals, marks on letters, and commas within numbers."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.sub(r"(?<=\d),(?=\d{3})", "", letters.casefold())


def _row(candidate: str, suite: str, item: Item, score: Score, got: Completion) -> Scored:
    return Scored(
        candidate=candidate,
        split="suite",
        example_id=item.id,
        source=f"{suite}/{item.kind}",
        prompt=item.request,
        expected=item.answers[0] if item.answers else item.check.told if item.check else "",
        got=got.text,
        score=score.value,
        passed=score.passed,
        reason=score.reason,
        prompt_tokens=got.prompt_tokens,
        completion_tokens=got.completion_tokens,
        seconds=got.seconds,
    )
