"""The training rows beside failures, ranked by the gradients of the tuned model's adapter."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from residency.chat import Rendered, Renderer
from residency.core.errors import ResidencyError
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Conversation, Example, Message, with_system
from residency.core.workspace import read_json
from residency.data.twins.nearest import Neighbour
from residency.evals.scored import Scored, was_cut_off
from residency.models.adapters import unfreeze_adapter
from residency.models.artifact import Tuned, artifact_folder, load_artifact
from residency.models.packed.attention import use_packed_attention
from residency.pipeline.room import checkpointing
from residency.training.attribution import RowSketches, cosines
from residency.training.objectives import get_objective
from residency.verdict.causes_schema import TracingPart

_MOST = 1000
"""Training rows looked at in all: each costs a forward and a backward pass."""
_MOST_FAILURES = 200
"""Failures looked at, at the same cost each: the first that can be."""


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
        written = (wrong_answer(tuned.renderer, system, *row) for row in zip(failures, asked, strict=True))
        wrong = dict(islice(((n, answer) for n, answer in enumerate(written) if answer), _MOST_FAILURES))
        places = nearest_of_each([found[number] for number in wrong], _MOST)
        failed, learned = self._sketches(tuned, list(wrong.values()), places)
        ranked = dict(zip(wrong, rank(failed, learned), strict=True))
        traced, left_out = sum(rows is not None for rows in ranked.values()), len(places) - len(learned)
        if traced < len(failures):
            kept = "the others keep their nearest rows"
            self.report.say(f"  gradients: of {traced:,} of {len(failures):,} failures; {kept}")
        if left_out:
            self.report.say(
                f"  gradients: {left_out:,} training rows do not fit into memory and are left out"
            )
        self.told = TracingPart(
            failures=traced,
            rows=len(learned),
            left_out=left_out,
            seconds=round(time.perf_counter() - begun, 1),
        )
        return [ranked.get(number) for number in range(len(failures))]

    def _sketches(
        self, tuned: Tuned, wrong: Sequence[Rendered], places: Sequence[int]
    ) -> tuple[list[Tensor | None], dict[int, Tensor]]:
        """The gradients of the wrong answers, and of the training rows by place; less what does not fit."""
        if not wrong:
            return [], {}
        system, objective = self.recipe.task.system, get_objective(self.recipe.train.objective)
        train = tuned.renderer.render_many([with_system(self.train[p].conversation, system) for p in places])
        checkpointed = read_json(self.trained / "training.json")["gradient_checkpointing"]
        use_packed_attention(tuned.model)
        unfreeze_adapter(tuned.model)
        with (
            self.report.track("gradients", len(wrong) + len(train), "rows") as advance,
            checkpointing(tuned.model, checkpointed),
        ):
            rows = (*wrong, *train)
            sketches = RowSketches(tuned.model, objective).of(rows, self.recipe.train.micro_tokens, advance)
        learned = zip(places, sketches[len(wrong) :], strict=True)
        return sketches[: len(wrong)], {place: one for place, one in learned if one is not None}


def ranking_of(
    recipe: Recipe, trained: Path, train: Sequence[Example], report: Reporter
) -> ByGradients | None:
    """The ranking that the recipe asks for; none where the nearest rows are shown."""
    if recipe.verdict.tracing == "similarity":
        return None
    return ByGradients(recipe, trained, train, report)


def wrong_answer(renderer: Renderer, system: str, row: Scored, example: Example) -> Rendered | None:
    """The failed row with the answer given, to learn from where it departs from the answer wanted.

    None where the answer given is a tool call, whose text in the scored row is not what the model wrote;
    where an answer cannot be written as training would, for it holds structure of the chat; and where
    nothing is wrong in its tokens.
    """
    prompt, turn = with_system(example.prompt, system), example.messages[-1]
    if prompt.tools and renderer.reads_calls and tells_calls(row.got):
        return None
    answers = (Message("assistant", row.got), replace(turn, weight=1))
    given, wanted = renderer.render_each([Conversation((*prompt, a), prompt.tools) for a in answers])
    if isinstance(given, ResidencyError) or isinstance(wanted, ResidencyError):
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


def rank(failed: Sequence[Tensor | None], learned: Mapping[int, Tensor]) -> list[list[Neighbour] | None]:
    """For each failure the rows, by place, with cosines above 0, the largest first; of equals the first.

    None for a failure without a sketch, and for all where no row has one.
    """
    whole = [sketch_W for sketch_W in failed if sketch_W is not None]
    if not (whole and learned):
        return [None] * len(failed)
    cosine_FB = iter(cosines(torch.stack(whole), torch.stack(list(learned.values()))).tolist())
    return [None if sketch_W is None else _best(learned, next(cosine_FB)) for sketch_W in failed]


def _best(places: Iterable[int], cosine_B: Sequence[float]) -> list[Neighbour]:
    rows = (Neighbour(place, cosine) for place, cosine in zip(places, cosine_B, strict=True) if cosine > 0)
    return sorted(rows, key=lambda row: -row.cosine)


def tells_calls(answer: str) -> bool:
    """Whether an answer ends with tool calls as `Message.text` tells them."""
    try:
        told = json.loads(answer.rpartition("\n")[2])
    except (ValueError, RecursionError):
        return False
    calls = told if isinstance(told, list) else [told]
    return bool(calls) and all(isinstance(c, dict) and c.keys() == {"name", "arguments"} for c in calls)
