"""A model asked under a system prompt, with or without examples shown first."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from residency.candidates.shown import Retriever, Shown, without_system
from residency.core.errors import ResidencyError
from residency.core.progress import Advance
from residency.core.records import Completion, Conversation, Example, Message, with_system
from residency.models.language_model import LanguageModel
from residency.models.unanswerable import TooLong, Unanswerable


@dataclass(frozen=True)
class Prompted:
    """One way to ask: all candidates but the classifier differ in these fields only.

    Attributes:
        name: As reports call it.
        model: Who answers.
        system: The system prompt; rows with a system turn of their own keep theirs.
        instructions: Full instructions; a row's own system turn is told after them.
        shots: Examples shown as turns before the input, the same for every row.
        retrievers: What look up more for each row. What finds no room is left out, the farthest first.
    """

    name: str
    model: LanguageModel
    system: str = ""
    instructions: str = ""
    shots: tuple[Example, ...] = ()
    retrievers: tuple[Retriever, ...] = ()

    def conversation(self, example: Example, shown: Shown | None = None) -> Conversation:
        """What the model is asked for `example`, with `shown` looked up for it: never its answer."""
        prompt = example.prompt
        if self.instructions:
            own = [turn.content for turn in prompt if turn.role == "system"]
            told = "\n\n".join([self.instructions, *own])
            prompt = Conversation((Message("system", told), *without_system(prompt)), prompt.tools)
        prompt = with_system(prompt, self.system)
        return Shown(self.shots).beside((shown or Shown()).beside(prompt))

    def answer(self, examples: Sequence[Example], max_new_tokens: int, advance: Advance) -> list[Completion]:
        """A completion for each example, with what was looked up for it.

        Raises:
            ResidencyError: what is asked for an example is too long, or takes too much memory; names it.
        """
        try:
            return self._answer(examples, max_new_tokens, advance)
        except Unanswerable as error:
            where = f"{examples[error.place].source}, asked as {self.name}: {error.where}"
            raise ResidencyError(error.what, where, error.fix) from None

    def _answer(self, examples: Sequence[Example], max_new_tokens: int, advance: Advance) -> list[Completion]:
        if not self.retrievers:
            return self.model.complete([self.conversation(e) for e in examples], max_new_tokens, advance)
        begun = time.perf_counter()
        found = [_joined(parts) for parts in zip(*(r.find(examples) for r in self.retrievers), strict=True)]
        pairs = list(zip(examples, found, strict=True))
        shown = [self._with_room(example, wanted, max_new_tokens) for example, wanted in pairs]
        seconds = (time.perf_counter() - begun) / max(len(examples), 1)
        completions = self._complete(examples, shown, max_new_tokens, advance)
        return [
            replace(
                completion,
                seconds=completion.seconds + seconds,
                retrieved=fits.sources,
                left_out=len(wanted) - len(fits),
            )
            for completion, fits, wanted in zip(completions, shown, found, strict=True)
        ]

    def _complete(
        self, examples: Sequence[Example], shown: list[Shown], max_new_tokens: int, advance: Advance
    ) -> list[Completion]:
        """Answers; where only a server knows its context, it is asked again with less of what it refused.

        `shown` is shortened in place. What was answered is known by then, and asked of nobody again.
        """
        most = 0
        while True:
            done = 0

            def forward(more: int, note: str) -> None:
                nonlocal done, most
                done += more
                if done > most:
                    advance(done - most, note)
                    most = done

            asked = [self.conversation(example, fits) for example, fits in zip(examples, shown, strict=True)]
            try:
                return self.model.complete(asked, max_new_tokens, forward)
            except TooLong as error:
                if bare := [place for place in error.places if not len(shown[place])]:
                    raise error.at(*bare) from None
                for place in error.places:
                    shown[place] = shown[place].without_farthest()

    def _with_room(self, example: Example, shown: Shown, max_new_tokens: int) -> Shown:
        """As much of `shown` as the model's context holds beside the rest, the nearest kept."""
        while len(shown) and not self.model.has_room(self.conversation(example, shown), max_new_tokens):
            shown = shown.without_farthest()
        return shown


def _joined(parts: Sequence[Shown]) -> Shown:
    return Shown(
        tuple(row for part in parts for row in part.rows),
        tuple(passage for part in parts for passage in part.passages),
    )


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
