"""What an answer may be: the tokens that may come next, so that greedy decoding stays within a form.

Labels are held to by a trie of their tokens, exact and small; JSON Schemas by llguidance, an extra.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message

if TYPE_CHECKING:
    from llguidance import LLMatcher


_BLANKS = r"[ \t\r\n]{1,40}"
"""Between the parts of a JSON text: enough for any indentation, and not for a model that runs in place."""


class Guide(Protocol):
    """One answer under way."""

    def allowed(self, size: int) -> Tensor:
        """Which of `size` tokens may come next, as bools; at least one, and a stop only at an end."""

    def take(self, token: int) -> None:
        """The answer went on with `token`, which is no stop."""


class Constraint(Protocol):
    """The form of all answers to a task."""

    def begin(self, renderer: Renderer, asked: Conversation) -> Callable[[], Guide]:
        """What makes a guide for each answer of the model that `renderer` renders for.

        Raises:
            ResidencyError: the form cannot be held to with this base.
        """


def answer_ids(renderer: Renderer, asked: Conversation, turns: Sequence[Message]) -> list[list[int]]:
    """The tokens of each turn as the answer to `asked`, as training writes them, without the stop token."""
    start = len(renderer.prompt_ids(asked))
    wholes = renderer.render_many(
        [Conversation((*asked, replace(turn, weight=1)), asked.tools) for turn in turns]
    )
    return [
        [token for token, said in zip(ids[start:], supervised[start:], strict=True) if said][:-1]
        for ids, supervised in wholes
    ]


@dataclass
class Node:
    """The tokens that go on from here, and whether a label may end here."""

    after: dict[int, Node] = field(default_factory=dict)
    ends: bool = False


def grow_trie(sequences: Sequence[Sequence[int]]) -> Node:
    """The root of a trie of token sequences."""
    root = Node()
    for ids in sequences:
        node = root
        for token in ids:
            node = node.after.setdefault(token, Node())
        node.ends = True
    return root


class LabelGuide:
    """A walk down a trie."""

    def __init__(self, root: Node, stop_ids: Collection[int]) -> None:
        self.node, self.stop_ids = root, stop_ids

    def allowed(self, size: int) -> Tensor:
        """The tokens that go on with a label, and the stops where one is whole."""
        mask_V = torch.zeros(size, dtype=torch.bool)
        mask_V[[*self.node.after, *(self.stop_ids if self.node.ends else ())]] = True
        return mask_V

    def take(self, token: int) -> None:
        """One step down."""
        self.node = self.node.after[token]


@dataclass(frozen=True)
class Labels:
    """An answer is one of these texts, in the tokens in which training writes it."""

    texts: tuple[str, ...]

    def begin(self, renderer: Renderer, asked: Conversation) -> Callable[[], Guide]:
        """Guides that share a trie."""
        turns = [Message("assistant", text) for text in self.texts]
        root = grow_trie(answer_ids(renderer, asked, turns))
        return lambda: LabelGuide(root, renderer.stop_ids)


class SchemaGuide:
    """A JSON text under way; before it comes what the template writes ahead of every answer."""

    def __init__(self, matcher: LLMatcher, ahead: Sequence[int]) -> None:
        self.matcher, self.ahead = matcher, deque(ahead)

    def allowed(self, size: int) -> Tensor:
        """The tokens with which the text can still become one that the schema allows."""
        mask_V = torch.zeros(size, dtype=torch.bool)
        if self.ahead:
            mask_V[self.ahead[0]] = True
            return mask_V
        bias_V = torch.frombuffer(bytearray(self.matcher.compute_logit_bias()), dtype=torch.uint8)[:size]
        mask_V[: len(bias_V)] = bias_V > 0
        _require_sound(self.matcher)
        return mask_V

    def take(self, token: int) -> None:
        """The text goes on."""
        if self.ahead:
            self.ahead.popleft()
        else:
            self.matcher.consume_token(token)
            _require_sound(self.matcher)


@dataclass(frozen=True)
class Schema:
    """An answer is JSON that a JSON Schema allows; keys come in the schema's order."""

    file: Path

    def begin(self, renderer: Renderer, asked: Conversation) -> Callable[[], Guide]:
        """Guides that are copies of one matcher."""
        require_llguidance()
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer
        from transformers import TokenizersBackend

        if not isinstance(renderer.tokenizer, TokenizersBackend):
            what = "This base's tokenizer is not one of the `tokenizers` library, which schemas need."
            raise ResidencyError(what, "task.constrain", 'Set task.constrain = "none", or take another base.')
        tokenizer = from_tokenizer(renderer.tokenizer, eos_token=sorted(renderer.stop_ids))
        grammar = LLMatcher.grammar_from_json_schema(read_schema(self.file), {"whitespace_pattern": _BLANKS})
        matcher = LLMatcher(tokenizer, grammar, log_level=0)
        if matcher.is_error():
            what = f"Answers cannot be held to this schema: {_first_line(matcher.get_error())}."
            raise ResidencyError(what, str(self.file), "Write the schema without it.")
        ahead = renderer.lead_ids
        return lambda: SchemaGuide(matcher.deep_copy(), ahead)


def read_schema(file: Path) -> str:
    """The text of a JSON Schema.

    Raises:
        ResidencyError: it is not JSON, or no schema.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        schema = json.loads(text)
    except (OSError, ValueError) as error:
        raise ResidencyError(f"The schema cannot be read: {error}.", str(file), "Mend the file.") from None
    if not isinstance(schema, dict):
        raise ResidencyError("A JSON Schema is an object.", str(file), 'E.g. {"type": "object"}')
    return text


def require_llguidance() -> None:
    """Refuse to go on without the software.

    Raises:
        ResidencyError: it is not installed.
    """
    try:
        import llguidance  # noqa: F401
    except ImportError:
        what = "Answers are held to a schema by llguidance, which is not installed."
        raise ResidencyError(what, "task.constrain", 'pip install "residency[constrain]"') from None


def _require_sound(matcher: LLMatcher) -> None:
    if matcher.is_error():
        what = f"The schema took too much to follow: {_first_line(matcher.get_error())}."
        raise ResidencyError(what, "task.constrain", "Write a smaller schema, or set task.constrain to none.")


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0].rstrip(".")
