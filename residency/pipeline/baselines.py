"""The candidates that the recipe names: what each is made of, and what is chosen on validation rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from residency.candidates.candidate import Candidate
from residency.candidates.classifier import STRENGTHS, Classifier, unfit
from residency.candidates.documents import NearestPassages, read_passages
from residency.candidates.prompted import Prompted, draw_shots
from residency.candidates.shown import NearestRows, Retriever
from residency.core.errors import ResidencyError
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Example
from residency.data.labels import labels_of
from residency.evals.scored import grade
from residency.evals.scorers import scorer_of
from residency.models.language_model import LanguageModel
from residency.pipeline.askable import askable
from residency.verdict.report_schema import ChoicePart

_CHOICE_ROWS = 200
"""Validation rows at most that a number of examples is chosen on."""


@dataclass(frozen=True)
class Sides:
    """The rows that candidates may be made of."""

    train: Sequence[Example]
    validation: Sequence[Example]


def baselines(
    recipe: Recipe, instructions: str, model: LanguageModel, sides: Sides, report: Reporter
) -> tuple[list[Candidate], list[ChoicePart]]:
    """All candidates but the tuned ones, in the order of the report, and what was chosen for them."""
    choices: list[ChoicePart] = []
    k = recipe.candidates.few_shot[0]
    if len(set(recipe.candidates.few_shot)) > 1:
        choices.append(_choose_shots(recipe, instructions, model, sides, report))
        k = int(choices[-1].chosen)
    found: list[Candidate] = [*prompted(recipe, instructions, model, sides.train, k)]
    if _wants_classifier(recipe, sides.train, report):
        classifier, choice = _classifier(recipe, sides, report)
        found.append(classifier)
        choices.append(choice)
    return found, choices


def prompted(
    recipe: Recipe, instructions: str, model: LanguageModel, train: Sequence[Example], k: int
) -> list[Prompted]:
    """The ways to ask a model, local or remote: as it is, zero-shot, few-shot with `k` rows, retrieving."""
    system, settings = recipe.task.system, recipe.candidates
    found = [Prompted("base", model, system=system)]
    if settings.zero_shot and instructions:
        found.append(Prompted("zero-shot", model, instructions=instructions))
    if settings.few_shot != (0,):
        shots = draw_shots(train, k, recipe.split.seed)
        found.append(Prompted("few-shot", model, system, instructions, shots))
    for name, retriever in retrievers(recipe, train).items():
        found.append(Prompted(name, model, system, instructions, retrievers=(retriever,)))
    return found


def retrievers(recipe: Recipe, train: Sequence[Example]) -> dict[str, Retriever]:
    """What looks things up for a row, by the name of the candidate that is asked with it."""
    settings = recipe.candidates
    found: dict[str, Retriever] = {}
    if settings.retrieved:
        found["retrieved"] = NearestRows(train, settings.retrieved, settings.similarity)
    if settings.documents:
        passages = read_passages(settings.documents)
        found["documents"] = NearestPassages(passages, settings.passages, settings.similarity)
    return found


def _choose_shots(
    recipe: Recipe, instructions: str, model: LanguageModel, sides: Sides, report: Reporter
) -> ChoicePart:
    """The number of examples with the highest mean score on validation rows, of equals the smallest."""
    validation, seed = askable(sides.validation), recipe.split.seed
    shots = {k: draw_shots(sides.train, k, seed) for k in sorted(set(recipe.candidates.few_shot))}
    system = recipe.task.system
    asked = {k: Prompted("few-shot", model, system, instructions, shots[k]) for k in shots}
    rows = random.Random(seed).sample(validation, min(_CHOICE_ROWS, len(validation)))
    scorer = scorer_of(recipe)
    scores = {}
    with report.track("few-shot on validation", len(rows) * len(asked), "rows") as advance:
        for k, candidate in asked.items():
            completions = candidate.answer(rows, recipe.task.max_new_tokens, advance)
            pairs = zip(rows, completions, strict=True)
            scores[k] = fmean(grade(scorer, row, completion.text).value for row, completion in pairs)
    return ChoicePart(
        candidate="few-shot",
        setting="examples",
        chosen=max(scores, key=lambda k: scores[k]),
        tried={f"{k}": score for k, score in scores.items()},
        rows=len(rows),
    )


def _wants_classifier(recipe: Recipe, train: Sequence[Example], report: Reporter) -> bool:
    """Whether there is a classifier; says so where one would be and cannot tell the answers apart.

    Raises:
        ResidencyError: there are too many answers for the classifier that is asked for.
    """
    wanted, answers = recipe.candidates.classifier, [row.answer.strip() for row in train]
    if wanted == "off" or (wanted == "auto" and labels_of(answers) is None):
        return False
    why = unfit(answers)
    if why and wanted == "on" and len(set(answers)) > 1:
        what = f"The classifier cannot be trained: {why}."
        raise ResidencyError(what, "candidates.classifier", 'Set it to "auto" or "off".')
    if why:
        report.say(f"  no classifier: {why}")
    return not why


def _classifier(recipe: Recipe, sides: Sides, report: Reporter) -> tuple[Classifier, ChoicePart]:
    validation = askable(sides.validation)
    with report.track("classifier", len(STRENGTHS), "fits") as advance:
        classifier = Classifier(sides.train, validation, recipe.candidates.similarity, advance)
    rows = len(validation)
    return classifier, ChoicePart(
        candidate=classifier.name,
        setting="C",
        chosen=classifier.strength,
        tried={f"{strength:g}": right / rows for strength, right in classifier.right.items()},
        rows=rows,
    )
