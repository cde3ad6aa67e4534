"""What an answer may be: the tokens that may come next, so that greedy decoding stays within a form.

Labels are held to by a trie of their tokens, exact and small; JSON Schemas by llguidance, an extra. A model
behind an API is held to a JSON Schema by its server.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message

if TYPE_CHECKING:
    from llguidance import LLMatcher


_LABEL = "label"
"""The key under which a model behind an API gives a label."""
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

    @property
    def around(self) -> int:
        """Tokens at most that an API's answer takes beside the answer itself."""

    def begin(self, renderer: Renderer, asked: Conversation, most: int) -> Callable[[], Guide]:
        """What makes a guide for each answer, of up to `most` tokens, of the model `renderer` renders for.

        Raises:
            ResidencyError: the form cannot be held to with this base, or in so many tokens.
        """

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of what a model behind an API is to say.

        Raises:
            ResidencyError: there is none to read.
        """

    def read(self, said: str) -> str:
        """The answer in what such a model said; all of it where it did not keep to the schema."""


def answer_ids(
    renderer: Renderer, asked: Conversation, turns: Sequence[Message], *, ended: bool = False
) -> list[list[int]]:
    """The tokens of each turn as the answer to `asked`, as training writes them; the stop where `ended`."""
    start = len(renderer.prompt_ids(asked))
    wholes = renderer.render_many(
        [Conversation((*asked, replace(turn, weight=1)), asked.tools) for turn in turns]
    )
    end = None if ended else -1
    return [
        [token for token, said in zip(ids[start:], supervised[start:], strict=True) if said][:end]
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

    @property
    def around(self) -> int:
        """A token is a byte or more; some models write blanks."""
        return 2 * len(json.dumps({_LABEL: ""}))

    def begin(self, renderer: Renderer, asked: Conversation, most: int) -> Callable[[], Guide]:
        """Guides that share a trie."""
        turns = [Message("assistant", text) for text in self.texts]
        sequences = answer_ids(renderer, asked, turns)
        longest, text = max((len(ids) + 1, text) for ids, text in zip(sequences, self.texts, strict=True))
        if longest > most:  # an answer that has no room for its stop token counts as cut off
            what = (
                f"The label {text!r} takes {longest} tokens with its end, and an answer has room for {most}."
            )
            fix = f"Set task.max_new_tokens = {longest} or more, or shorten the label in the rows."
            raise ResidencyError(what, "task.max_new_tokens", fix)
        root = grow_trie(sequences)
        return lambda: LabelGuide(root, renderer.stop_ids)

    def json_schema(self) -> dict[str, Any]:
        """An object with a label, since an API's answer in JSON is an object."""
        label = {"type": "string", "enum": list(self.texts)}
        return {
            "type": "object",
            "properties": {_LABEL: label},
            "required": [_LABEL],
            "additionalProperties": False,
        }

    def read(self, said: str) -> str:
        """The label alone."""
        try:
            label = json.loads(said)[_LABEL]
        except (ValueError, LookupError, TypeError):
            return said
        return label if isinstance(label, str) else said


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

    @property
    def around(self) -> int:
        """Nothing stands around it."""
        return 0

    def begin(self, renderer: Renderer, asked: Conversation, most: int) -> Callable[[], Guide]:
        """Guides that are copies of one matcher; JSON that fills `most` tokens is cut off."""
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

    def json_schema(self) -> dict[str, Any]:
        """The schema as it stands in the file."""
        schema: dict[str, Any] = json.loads(read_schema(self.file))
        return schema

    def read(self, said: str) -> str:
        """All of it."""
        return said


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
