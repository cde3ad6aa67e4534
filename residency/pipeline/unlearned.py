"""Training rows that the tuned model did not learn: the least likely ones, and those that failures blame."""

from __future__ import annotations

import random
from collections.abc import Sequence

from residency.candidates.prompted import Prompted
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.records import Conversation, Example, Message, Source
from residency.evals.scored import was_cut_off
from residency.evals.scorers import scorer_of
from residency.models.language_model import LocalModel
from residency.pipeline.gradients import tells_calls
from residency.pipeline.recall import score_split
from residency.verdict.unlearned import ASKED, SCREENED, Unlearned, unlearned
from residency.verdict.ways import TUNED


def find_unlearned(
    recipe: Recipe, model: LocalModel, train: Sequence[Example], blamed: Sequence[Example], report: Reporter
) -> dict[Source, Unlearned]:
    """The rows that the tuned `model`, asked, answers otherwise, and holds its answer for the likelier one.

    Asked are the rows whose answers are the least likely among `SCREENED` of `train`, and the first of
    `blamed`; of both `ASKED` at most. An answer that was cut off, or whose tokens cannot be told from its
    text (a tool call, structure of the chat), says nothing. Where a judge is the scorer nothing is
    looked for: it would have to be paid for every row, and prefers an answer without the other being wrong.
    """
    if scorer_of(recipe).judge:
        report.say("  unlearned: not looked for, since a judge would be asked about every row")
        return {}
    candidate, room = Prompted(TUNED, model, system=recipe.task.system), recipe.task.max_new_tokens

    def fits(example: Example) -> bool:
        asked = candidate.conversation(example)
        return model.has_room(asked, room) and model.can_weigh(asked, example.messages[-1])

    drawn = draw_screened(train, recipe.split.seed, report)
    total, drawn = len(drawn), list(filter(fits, drawn))
    if len(drawn) < total:
        why = "for they leave an answer no room in the base's context, or hold structure of the chat"
        report.say(f"  unlearned: {total - len(drawn):,} rows are not looked at, {why}")
    chosen = (*filter(fits, blamed[:ASKED]), *_least_likely(candidate, model, drawn, report))
    asked = {example.source: example for example in chosen}
    with report.track(f"{TUNED} on the least likely training rows", len(asked), "rows") as advance:
        scored = score_split(candidate, "train", list(asked.values()), recipe, advance)
    questions = []
    for example, row in zip(asked.values(), scored, strict=True):
        prompt, turn = candidate.conversation(example), Message("assistant", row.got)
        if not row.passed and not was_cut_off(row) and _can_weigh(model, prompt, turn):
            questions.append((example, prompt, turn))
    with report.track("what it answers instead", len(questions), "rows") as advance:
        turns = [(prompt, [example.messages[-1], turn]) for example, prompt, turn in questions]
        pairs = model.likelihoods(turns, advance, ended=True)
    signs = {
        example.source: unlearned(example, turn.content, *pair)
        for (example, _, turn), pair in zip(questions, pairs, strict=True)
    }
    return {source: sign for source, sign in signs.items() if sign is not None}


def draw_screened(train: Sequence[Example], seed: int, report: Reporter) -> list[Example]:
    """The rows whose answers' likelihood is taken; where these are not all, a line says so."""
    drawn = random.Random(seed).sample(train, min(SCREENED, len(train)))
    if len(drawn) < len(train):
        rows = f"{len(drawn):,} of {len(train):,} training rows"
        report.say(f"  unlearned: looked for in {rows}, drawn by split.seed, and in those that are blamed")
    return drawn


def _least_likely(
    candidate: Prompted, model: LocalModel, examples: Sequence[Example], report: Reporter
) -> list[Example]:
    """Those with the lowest mean log-likelihood a token of their own answers."""
    questions = [(candidate.conversation(example), [example.messages[-1]]) for example in examples]
    with report.track("likelihood of the training answers", len(examples), "rows") as advance:
        found = model.likelihoods(questions, advance, ended=True)
    mean = [own.logprob / own.tokens for (own,) in found]
    return [examples[place] for place in sorted(range(len(examples)), key=mean.__getitem__)[:ASKED]]


def _can_weigh(model: LocalModel, prompt: Conversation, turn: Message) -> bool:
    is_call = bool(prompt.tools) and model.renderer.reads_calls and tells_calls(turn.content)
    return not is_call and model.can_weigh(prompt, turn)
