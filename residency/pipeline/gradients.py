"""The training rows beside failures, ranked by the gradients of the tuned model's adapter."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from residency.chat import Rendered, Renderer
from residency.core.errors import ResidencyError
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Conversation, Example, Message, with_system
from residency.data.twins.nearest import Neighbour
from residency.evals.scored import Scored, was_cut_off
from residency.models.adapters import unfreeze_adapter
from residency.models.artifact import Tuned, artifact_folder, load_artifact
from residency.training.attention import use_packed_attention
from residency.training.attribution import GradientSketch, cosines, row_loss
from residency.training.objectives import get_objective
from residency.verdict.causes_schema import TracingPart

_MOST = 1000
"""Training rows looked at in all: each costs a forward and a backward pass."""
_KEPT = 10
"""Of them kept for a failure."""


class ByGradients:
    """A ranking for `trace`: first the rows whose gradients are most like that of the wrong answer given."""

    def __init__(self, recipe: Recipe, trained: Path, train: Sequence[Example], report: Reporter) -> None:
        self.recipe, self.trained, self.train, self.report = recipe, trained, train, report
        self.told: TracingPart | None = None
        """What it took; nothing where there was no failure."""

    def __call__(
        self, failures: Sequence[Scored], asked: Sequence[Example], found: Sequence[Sequence[Neighbour]]
    ) -> list[list[Neighbour] | None]:
        """For each failure the best of the rows near any; none where its answer cannot be written again."""
        begun = time.perf_counter()
        tuned = load_artifact(self.recipe.base, artifact_folder(self.trained, self.recipe.train.method))
        system = self.recipe.task.system
        rendered = [wrong_answer(tuned.renderer, system, *row) for row in zip(failures, asked, strict=True)]
        wrong = {number: answer for number, answer in enumerate(rendered) if answer}
        places = nearest_of_each([found[number] for number in wrong], _MOST)
        ranked = dict(zip(wrong, self._rank(tuned, list(wrong.values()), places), strict=True))
        seconds = round(time.perf_counter() - begun, 1)
        self.told = TracingPart(failures=len(wrong), rows=len(places), seconds=seconds)
        return [ranked.get(number) for number in range(len(failures))]

    def _rank(self, tuned: Tuned, wrong: Sequence[Rendered], places: Sequence[int]) -> list[list[Neighbour]]:
        """For each wrong answer the rows that teach it, those that do most first."""
        if not wrong:
            return []
        system, objective = self.recipe.task.system, get_objective(self.recipe.train.objective)
        train = tuned.renderer.render_many([with_system(self.train[p].conversation, system) for p in places])
        use_packed_attention(tuned.model)
        unfreeze_adapter(tuned.model)
        sketch, sketches = GradientSketch(tuned.model), []
        with self.report.track("gradients", len(wrong) + len(train), "rows") as advance:
            for row in (*wrong, *train):
                sketches.append(sketch.of(row_loss(tuned.model, row, objective)))
                advance(1, "")
        failed_FW, train_BW = torch.stack(sketches).tensor_split([len(wrong)])
        return [_best(places, cosine_B) for cosine_B in cosines(failed_FW, train_BW).tolist()]


def ranking_of(
    recipe: Recipe, trained: Path, train: Sequence[Example], report: Reporter
) -> ByGradients | None:
    """The ranking that the recipe asks for; none where the nearest rows are shown."""
    if recipe.verdict.tracing == "similarity":
        return None
    return ByGradients(recipe, trained, train, report)


def wrong_answer(renderer: Renderer, system: str, row: Scored, example: Example) -> Rendered | None:
    """The failed row with the answer given, to learn from where it departs from the answer wanted.

    None where an answer cannot be written as training would: it holds structure of the chat, or is a tool
    call, whose text in the scored row is not what the model wrote; and where nothing is wrong in its tokens.
    """
    prompt, turn = with_system(example.prompt, system), example.messages[-1]
    answers = (Message("assistant", row.got), replace(turn, weight=1))
    given, wanted = renderer.render_each([Conversation((*prompt, a), prompt.tools) for a in answers])
    if isinstance(given, ResidencyError) or isinstance(wanted, ResidencyError) or turn.tool_calls:
        return None
    departs = len(os.path.commonprefix([given.ids, wanted.ids]))
    learned = [place for place, supervised in enumerate(given.supervised) if supervised]
    if was_cut_off(row):
        learned.pop()  # the model never came to the end
    supervised = [place >= departs and place in learned for place in range(len(given.ids))]
    return Rendered(given.ids, supervised) if any(supervised) else None


def nearest_of_each(found: Sequence[Sequence[Neighbour]], most: int) -> list[int]:
    """The places of rows near any failure: the nearest of each, then the second of each, up to `most`."""
    by_rank = (row.place for rank in zip(*found, strict=True) for row in rank)
    return list(dict.fromkeys(by_rank))[:most]


def _best(places: Sequence[int], cosine_B: Sequence[float]) -> list[Neighbour]:
    """The rows with the largest cosines above 0; of equals the nearer one to a failure."""
    ranked = sorted(map(Neighbour, places, cosine_B), key=lambda row: -row.cosine)
    return [row for row in ranked[:_KEPT] if row.cosine > 0]
