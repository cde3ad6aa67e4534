"""What a prompt shows beside the input: rows with their answers, passages of documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from residency.core.records import Conversation, Example, Message
from residency.data.duplicates import wording
from residency.data.twins.nearest import Nearest, asked_text
from residency.models.vectors import Similarity


@dataclass(frozen=True)
class Passage:
    """A piece of a document."""

    source: str
    """`file#number`, counted from 1."""
    text: str


@dataclass(frozen=True)
class Shown:
    """What one row is shown, the nearest last, where it stands beside the input."""

    rows: tuple[Example, ...] = ()
    passages: tuple[Passage, ...] = ()

    def __len__(self) -> int:
        return len(self.rows) + len(self.passages)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it comes from: passages before rows, the nearest first."""
        return (
            *(passage.source for passage in reversed(self.passages)),
            *(str(row.source) for row in reversed(self.rows)),
        )

    def without_farthest(self) -> Shown:
        """One piece fewer: the farthest row, or where there are none the farthest passage."""
        return Shown(self.rows[1:], self.passages) if self.rows else Shown((), self.passages[1:])

    def beside(self, prompt: Conversation) -> Conversation:
        """The prompt with the rows as turns before it, and the passages in its last turn."""
        head = 1 if prompt and prompt[0].role == "system" else 0
        turns = (turn for row in self.rows for turn in without_system(row.messages))
        shown = (*prompt.turns[:head], *turns, *prompt.turns[head:])
        if not self.passages:
            return Conversation(shown, prompt.tools)
        told = "\n\n".join(f"[{passage.source}]\n{passage.text}" for passage in self.passages)
        last = shown[-1]
        asked = replace(last, content=f"Documents:\n\n{told}\n\nInput:\n\n{last.content}")
        return Conversation((*shown[:-1], asked), prompt.tools)


class Retriever(Protocol):
    """Looks up what each row is shown."""

    def find(self, examples: Sequence[Example]) -> list[Shown]:
        """What each row is shown, in their order."""


class NearestRows:
    """The `k` training rows whose inputs are most like a row's, but for those that ask it in its words."""

    def __init__(self, train: Sequence[Example], k: int, similarity: Similarity) -> None:
        self._train, self._k = train, k
        self._index = Nearest([asked_text(row) for row in train], similarity)
        self._wordings = [wording(row) for row in train]
        self._repeated = max(Counter(self._wordings).values(), default=0)

    def find(self, examples: Sequence[Example]) -> list[Shown]:
        """The nearest rows; a row that repeats the one asked would give its answer away."""
        found = self._index.find([asked_text(row) for row in examples], self._k + self._repeated)
        return [
            Shown(rows=self._pick(wording(example), [near.place for near in places]))
            for example, places in zip(examples, found, strict=True)
        ]

    def _pick(self, asked: str, places: Sequence[int]) -> tuple[Example, ...]:
        others = [place for place in places if self._wordings[place] != asked][: self._k]
        return tuple(self._train[place] for place in reversed(others))


def without_system(turns: Iterable[Message]) -> Iterator[Message]:
    """The turns but the system's."""
    return (turn for turn in turns if turn.role != "system")
