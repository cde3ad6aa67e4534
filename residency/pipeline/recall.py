"""What tells memorising from understanding: rows seen and unseen, in other words, and to be gone on with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from residency.candidates.prompted import Prompted
from residency.core.progress import Advance, Reporter, no_progress
from residency.core.recipe import Recipe
from residency.core.records import Example
from residency.data.split.freeze import Frozen
from residency.evals.memorisation import GIVEN_TOKENS, RECITED_TOKENS
from residency.evals.paraphrases import Paraphrases, surface_twins
from residency.evals.scored import Scored, Split, cluster_of, score_rows
from residency.evals.scorers import scorer_of
from residency.models.language_model import LocalModel
from residency.pipeline.askable import askable

_TEST_ROWS = 200
"""Test rows at most whose likelihood is taken."""


class Drawn(NamedTuple):
    """The rows looked at, the same for every candidate; of training and validation `train_sample` each."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    twins: list[Example]
    """Rows of `train` in other words; each has the source of its original."""


def draw(recipe: Recipe, rows: Frozen) -> Drawn:
    """Draw the rows; training rows for which other words are given come first.

    Where a model was to give them and gave too few, no others are made.

    Raises:
        ResidencyError: the paraphrases cannot be read, or none is of a training row.
    """
    seed, most = recipe.split.seed, recipe.verdict.train_sample
    train = shuffled_train(rows, seed)
    validation = _draw([row.example for row in rows.validation if not row.example.is_text], most, seed)
    test = likely_test(rows, seed)
    if recipe.verdict.paraphrases is None:
        twins = surface_twins(train[:most]) if recipe.verdict.paraphraser is None else []
        return Drawn(train[:most], validation, test, twins)
    given = Paraphrases(recipe.verdict.paraphrases)
    given.require_known(train)
    train = sorted(train, key=lambda example: not given.of(example))[:most]
    return Drawn(train, validation, test, [twin for example in train for twin in given.of(example)])


def shuffled_train(rows: Frozen, seed: int) -> list[Example]:
    """The training rows that can be asked, in the order in which they are drawn."""
    return _draw(askable([row.example for row in rows.train]), len(rows.train), seed)


def likely_test(rows: Frozen, seed: int) -> list[Example]:
    """The test rows whose likelihood is taken."""
    return _draw([row.example for row in rows.test], _TEST_ROWS, seed)


def _draw(examples: Sequence[Example], most: int, seed: int) -> list[Example]:
    return random.Random(seed).sample(examples, min(most, len(examples)))


def score_split(
    candidate: Prompted, split: Split, examples: Sequence[Example], recipe: Recipe, advance: Advance
) -> list[Scored]:
    """The candidate answers the rows, and is scored."""
    completions = candidate.answer(examples, recipe.task.max_new_tokens, advance)
    return score_rows(candidate.name, split, examples, completions, scorer_of(recipe))


def add_likelihoods(
    rows: Sequence[Scored], candidate: Prompted, model: LocalModel, examples: Sequence[Example]
) -> list[Scored]:
    """The scored rows, with the likelihood of the answer wanted where they are among `examples`."""
    worded = [example for example in examples if example.answer.strip()]
    questions = [(candidate.conversation(example), [example.messages[-1]]) for example in worded]
    found = model.likelihoods(questions, no_progress)
    nll = {
        (example.id, str(example.source)): -likelihood.logprob / likelihood.tokens
        for example, (likelihood,) in zip(worded, found, strict=True)
        if likelihood.tokens
    }
    return [replace(row, nll=nll.get((row.example_id, row.source))) for row in rows]


def recall(
    candidate: Prompted, model: LocalModel, drawn: Drawn, recipe: Recipe, report: Reporter
) -> list[Scored]:
    """The candidate on the rows drawn, but for answering the test, which is done in full elsewhere."""
    sides: tuple[tuple[Split, list[Example]], ...] = (
        ("train", drawn.train),
        ("validation", drawn.validation),
        ("twin", drawn.twins),
    )
    asked = [example for _, examples in sides for example in examples]
    with report.track(f"{candidate.name} on rows seen and alike", len(asked), "rows") as advance:
        completions = iter(candidate.answer(asked, recipe.task.max_new_tokens, advance))
        scorer, scored = scorer_of(recipe), []
        for split, examples in sides:
            answered = list(islice(completions, len(examples)))
            scored += score_rows(candidate.name, split, examples, answered, scorer)
        scored = add_likelihoods(scored, candidate, model, asked)
        scored += _recite(candidate, model, "recital", drawn.train)
        return scored + _recite(candidate, model, "recital-test", drawn.test)


def _recite(
    candidate: Prompted, model: LocalModel, split: Split, examples: Sequence[Example]
) -> list[Scored]:
    """Answers that are long enough, continued from their first tokens; passed is what is verbatim."""
    asked = [(candidate.conversation(example), example.messages[-1]) for example in examples]
    found = model.continue_answers(asked, GIVEN_TOKENS, RECITED_TOKENS, no_progress)
    return [
        Scored(
            candidate=candidate.name,
            split=split,
            example_id=example.id,
            source=str(example.source),
            prompt=went_on.given,
            expected=went_on.expected,
            got=went_on.got,
            score=float(went_on.verbatim),
            passed=went_on.verbatim,
            reason="" if went_on.verbatim else "not verbatim",
            prompt_tokens=went_on.prompt_tokens,
            completion_tokens=RECITED_TOKENS,
            seconds=went_on.seconds,
            cluster=cluster_of(example),
        )
        for example, went_on in zip(examples, found, strict=True)
        if went_on is not None
    ]
