"""A renderer that counts words, so that expected token counts can be told by eye."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from residency.core.errors import ResidencyError
from residency.core.records import Conversation


class Counts(NamedTuple):
    tokens: int
    supervised: int


class WordRenderer:
    """One token a word; the assistant's words and plain text are supervised, except for the word `mute`.

    It refuses two user turns in a row, as some templates do, and reads <|end|> as structure.
    """

    def count_each(self, conversations: Sequence[Conversation]) -> list[Counts | ResidencyError]:
        return [self._count(conversation) for conversation in conversations]

    def prompt_ids(self, conversation: Conversation) -> list[int]:
        return [0 for turn in conversation for _ in turn.content.split()]

    def special_token_in(self, conversation: Conversation) -> str | None:
        return "<|end|>" if any("<|end|>" in turn.content for turn in conversation) else None

    def _count(self, conversation: Conversation) -> Counts | ResidencyError:
        roles = [turn.role for turn in conversation]
        if ("user", "user") in zip(roles, roles[1:], strict=False):
            return ResidencyError("The template refuses two user turns in a row.", "chat", "Join them.")
        words = [(turn.role, word) for turn in conversation for word in turn.content.split()]
        learned = [role in ("assistant", "text") and word != "mute" for role, word in words]
        return Counts(len(words), sum(learned))


@pytest.fixture(scope="session")
def renderer() -> WordRenderer:
    return WordRenderer()
