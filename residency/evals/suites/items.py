"""Suites and their items: frozen, as they stand in a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from residency.core.records import Conversation, Message, fingerprint
from residency.evals.suites.checks import Check, Text

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Item(BaseModel):
    """One question with what counts as a good answer: certain answers, or a check."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: Id
    """Its name within the suite."""
    kind: Id
    """What it is about; each kind is reported by itself."""
    prompt: Text | None = None
    """What the user asks."""
    messages: tuple[Message, ...] = ()
    """The turns before the answer, in place of `prompt`."""
    answers: tuple[Text, ...] = ()
    """Answers that are right; the first stands for them where log-probabilities are compared."""
    wrong: tuple[Text, ...] = ()
    """Wrong answers of the same form, to compare log-probabilities with."""
    check: Check | None = None
    """What a program checks of the answer, in place of `answers`."""

    @model_validator(mode="after")
    def _is_whole(self) -> Item:
        if bool(self.prompt) == bool(self.messages):
            raise PydanticCustomError("item", "It needs either prompt or messages")
        if self.messages and self.messages[-1].role != "user":
            raise PydanticCustomError("item", "Its messages must end with the user's turn")
        if bool(self.answers) == bool(self.check):
            raise PydanticCustomError("item", "It needs either answers or check")
        if self.wrong and not self.answers:
            raise PydanticCustomError("item", "Wrong answers need right answers beside them")
        if known := set(self.answers) & set(self.wrong):
            text = "'{answer}' cannot be right and wrong"
            raise PydanticCustomError("item", text, {"answer": sorted(known)[0]})
        return self

    @property
    def conversation(self) -> Conversation:
        """The turns before the answer."""
        return Conversation(self.messages or (Message("user", self.prompt or ""),))

    @property
    def request(self) -> str:
        """The last user turn."""
        return self.conversation[-1].content

    @property
    def options(self) -> tuple[str, ...]:
        """The right answer, then the wrong ones."""
        return (*self.answers[:1], *self.wrong)


@dataclass(frozen=True)
class Suite:
    """Items under one name."""

    name: str
    items: tuple[Item, ...]

    def limited(self, most: int) -> Suite:
        """At most so many items, of every kind in proportion and always the same ones."""
        of_kind: dict[str, list[Item]] = {}
        for item in sorted(self.items, key=lambda item: fingerprint(item.id)):
            of_kind.setdefault(item.kind, []).append(item)
        rank = {
            item.id: (place + 0.5) / len(items)
            for items in of_kind.values()
            for place, item in enumerate(items)
        }
        kept = {item.id for item in sorted(self.items, key=lambda item: rank[item.id])[:most]}
        return replace(self, items=tuple(item for item in self.items if item.id in kept))
