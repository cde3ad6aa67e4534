"""A model asked under a system prompt, with or without examples shown first."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from residency.core.progress import Advance
from residency.core.records import Completion, Conversation, Example, Message, with_system
from residency.models.language_model import LanguageModel


@dataclass(frozen=True)
class Prompted:
    """One way to ask: base, zero-shot, few-shot and tuned differ in these fields only.

    Attributes:
        name: As reports call it.
        model: Who answers.
        system: The system prompt; rows with a system turn of their own keep theirs.
        instructions: Full instructions; a row's own system turn is told after them.
        shots: Examples shown as turns before the input.
    """

    name: str
    model: LanguageModel
    system: str = ""
    instructions: str = ""
    shots: tuple[Example, ...] = ()

    def conversation(self, example: Example) -> Conversation:
        """What the model is asked for `example`: never its answer."""
        prompt = example.prompt
        if self.instructions:
            own = [turn.content for turn in prompt if turn.role == "system"]
            told = "\n\n".join([self.instructions, *own])
            prompt = Conversation((Message("system", told), *_without_system(prompt)), prompt.tools)
        prompt = with_system(prompt, self.system)
        head = 1 if prompt[0].role == "system" else 0
        shown = (turn for shot in self.shots for turn in _without_system(shot.messages))
        return Conversation((*prompt.turns[:head], *shown, *prompt.turns[head:]), prompt.tools)

    def answer(self, examples: Sequence[Example], max_new_tokens: int, advance: Advance) -> list[Completion]:
        """A completion for each example."""
        return self.model.complete([self.conversation(e) for e in examples], max_new_tokens, advance)


def draw_shots(examples: Sequence[Example], k: int, seed: int) -> tuple[Example, ...]:
    """`k` training rows to show, drawn at random with answers as different as there are.

    Rows longer than most are passed over: every call pays for them.
    """
    length = sorted(_length(e) for e in examples)[len(examples) * 3 // 4]
    pool = [e for e in examples if _length(e) <= length]
    random.Random(seed).shuffle(pool)
    seen: dict[str, int] = {}
    turns: list[tuple[int, Example]] = []
    for example in pool:
        seen[example.answer] = seen.get(example.answer, 0) + 1
        turns.append((seen[example.answer], example))
    turns.sort(key=lambda turn: turn[0])
    return tuple(example for _, example in turns[:k])


def _length(example: Example) -> int:
    return sum(len(m.text) for m in example.messages)


def _without_system(turns: Iterable[Message]) -> Iterator[Message]:
    return (turn for turn in turns if turn.role != "system")
