"""The one renderer: what the server feeds, and what training learns from, token for token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from residency.chat.frame import Counts, Frames
from residency.chat.probe import probe
from residency.chat.spans import Layout, lay_out, supervise
from residency.chat.template import SURROGATE, Template
from residency.chat.tools import ToolFormat, probe_tools
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Tools
from residency.core.records import fingerprint as hash_of

_CHUNK = 1024
"""Conversations tokenised at once: enough to keep the cores busy, few enough to bound memory."""
_VERIFIED = 256
"""Of so many counts told by a frame one is held against the template."""


class Rendered(NamedTuple):
    """A conversation as tokens; `supervised` marks those to learn.

    These are what the assistant wrote, stop tokens included, but for turns of weight 0; and all of a
    plain text but its first token, which nothing foretells.
    """

    ids: list[int]
    supervised: list[bool]


class Renderer:
    """Turns conversations into tokens with the base's own chat template.

    `stop_ids` are the tokens that end the assistant's turn: the one that the template puts behind its
    text, and the tokenizer's end of sequence.

    Raises:
        ResidencyError: the base has no chat template, or one from which no model can learn to stop.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._template = Template(tokenizer)
        surroundings = probe(self._template)
        self.stop_ids = surroundings.stop_ids
        self._lead, self._tail = surroundings.lead, surroundings.tail
        longest_first = sorted(surroundings.structure, key=len, reverse=True)
        self._structure = re.compile("|".join(re.escape(text) for text in longest_first))
        self._frames: Frames | None = Frames(self._template, surroundings)

    def __reduce__(self) -> tuple[type[Renderer], tuple[PreTrainedTokenizerBase]]:
        return Renderer, (self._template.tokenizer,)  # another process makes its own of the tokenizer

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides on a conversation's tokens: template, special tokens, vocabulary."""
        tokenizer = self._template.tokenizer
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
        del backend["truncation"], backend["padding"]  # left behind by whoever called it last
        content = {
            "template": self._template.source,
            "special_tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
            "stop_ids": sorted(self.stop_ids),
            "tokenizer": backend,
        }
        if self._template.tool_source != self._template.source:
            content["tool_template"] = self._template.tool_source
        return hash_of(content)

    @property
    def is_dated(self) -> bool:
        """Whether the template would write today's date; in all that is rendered it is `TODAY`."""
        return self._template.is_dated

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's tokenizer, for those who need its vocabulary."""
        return self._template.tokenizer

    @property
    def lead_ids(self) -> list[int]:
        """The tokens that the template writes ahead of an answer (an empty thought); none for a blank."""
        return self._template.encode([self._lead])[self._lead] if self._lead.strip() else []

    @cached_property
    def _tools(self) -> ToolFormat:
        """What the template does with tools; looked at when the first conversation has some."""
        return probe_tools(self._template.tokenizer, self.stop_ids, self._lead)

    @property
    def reads_calls(self) -> bool:
        """Whether `decode` tells the tool calls of an answer as `Message.text` does."""
        return self._tools.written is not None

    def special_token_in(self, conversation: Conversation) -> str | None:
        """The first text in the conversation that the tokenizer would read as structure, if there is one."""
        for text in _texts(conversation):
            if match := self._structure.search(text):
                return match.group()
        return None

    def prompt_ids(self, conversation: Conversation) -> list[int]:
        """The tokens that a server feeds: the conversation, and the header of the answer to come.

        Raises:
            ResidencyError: the content holds structure, or the template refuses or leaves out something.
        """
        text = self._checked(conversation).text(conversation, generation_prompt=True)
        return self._template.encode([text])[text]

    def render(self, conversation: Conversation) -> Rendered:
        """The tokens of a conversation that ends with the assistant's turn.

        `prompt_ids` of the turns before the last are its first tokens. Supervised is each assistant turn
        from the end of its prompt through its stop token; a past turn which the template begins in another
        way than it prompts for is supervised from its text on.

        Raises:
            ResidencyError: as for `prompt_ids`; or a turn's first or last token cannot be told.
        """
        return self.render_many([conversation])[0]

    def render_many(self, conversations: Sequence[Conversation]) -> list[Rendered]:
        """`render` for each, tokenised in batches. Raises what the first that fails would raise."""
        rendered = []
        for outcome in self.render_each(conversations):
            if isinstance(outcome, ResidencyError):
                raise outcome
            rendered.append(outcome)
        return rendered

    def render_each(self, conversations: Sequence[Conversation]) -> list[Rendered | ResidencyError]:
        """`render_many` for data that may be wrong: an error stands in the place of its row."""
        outcomes: list[Rendered | ResidencyError] = []
        for begin in range(0, len(conversations), _CHUNK):
            layouts = [self._lay_out(conversation) for conversation in conversations[begin : begin + _CHUNK]]
            texts = [text for layout in layouts if isinstance(layout, Layout) for text in layout.texts()]
            encoded = self._template.encode(texts)
            outcomes += [self._supervise(layout, encoded) for layout in layouts]
        return outcomes

    def count_each(self, conversations: Sequence[Conversation]) -> list[Counts | ResidencyError]:
        """How many tokens `render_each` gives, and how many of them supervised, in less time."""
        outcomes: list[Counts | ResidencyError] = []
        for begin in range(0, len(conversations), _CHUNK):
            outcomes += self._count(conversations[begin : begin + _CHUNK])
        return outcomes

    def _count(self, conversations: Sequence[Conversation]) -> list[Counts | ResidencyError]:
        counted: list[Counts | None] = [None] * len(conversations)
        if self._frames is not None:
            counted = self._frames.count(conversations)
        told = [place for place, counts in enumerate(counted) if counts is not None]
        left = [place for place, counts in enumerate(counted) if counts is None]
        slowly = sorted((*left, *told[::_VERIFIED]))
        rendered = zip(slowly, self.render_each([conversations[place] for place in slowly]), strict=True)
        outcomes: dict[int, Counts | ResidencyError] = {p: _counts(rendering) for p, rendering in rendered}
        if any(outcomes[place] != counted[place] for place in told[::_VERIFIED]):
            self._frames = None  # the template does more than the frame's proofs saw
            return self._count(conversations)
        return [counts or outcomes[place] for place, counts in enumerate(counted)]

    def decode(self, ids: Sequence[int], tools: Tools = ()) -> str:
        """The text of an answer up to its stop token, every space kept.

        What the template itself writes around an answer (an empty thought, a space) is taken off again,
        also where only its beginning has been generated yet. Other special tokens are shown as text. With
        `tools`, calls of the form that the template writes are told as `Message.text` tells them.
        """
        end = next((i for i, token in enumerate(ids) if token in self.stop_ids), len(ids))
        # Some decoders drop the first space of a text, so the answer may not come first.
        anchor = min(self.stop_ids)
        head = self._template.decode([anchor])
        text = self._template.decode([anchor, *ids[:end]]).removeprefix(head)
        if end < len(ids):
            text = text.removesuffix(self._tail)
        text = "" if self._lead.startswith(text) else text.removeprefix(self._lead)
        written = self._tools.written if tools else None
        return (written.read(text) if written else None) or text

    def _checked(self, conversation: Conversation) -> Template:
        """The template that writes the conversation, once nothing in it can be misread or left out."""
        token = self.special_token_in(conversation)
        if token is not None:
            what = f"The text holds {token!r}, which the model reads as the structure of the chat."
            raise ResidencyError(what, "chat", "Take it out, or write it with a space in it.")
        if any(SURROGATE.search(text) for text in _texts(conversation)):
            what = "The text holds half of a surrogate pair, which is not a character."
            raise ResidencyError(what, "chat", "Write the file anew as UTF-8, with whole characters.")
        if not conversation.calls_tools:
            return self._template
        self._tools.require(conversation)
        return self._tools.template

    def _lay_out(self, conversation: Conversation) -> Layout | ResidencyError:
        try:
            template = self._checked(conversation)
            if conversation.is_text:
                return Layout(conversation[0].content, ())
            return lay_out(template, conversation)
        except ResidencyError as error:
            return error

    def _supervise(
        self, layout: Layout | ResidencyError, encoded: dict[str, list[int]]
    ) -> Rendered | ResidencyError:
        if isinstance(layout, ResidencyError):
            return layout
        if not layout.turns:
            return self._plain(encoded[layout.text])
        try:
            supervised = supervise(self._template, layout, encoded, self.stop_ids)
            return Rendered(encoded[layout.text].copy(), supervised)
        except ResidencyError as error:
            return error

    def _plain(self, text_ids: list[int]) -> Rendered | ResidencyError:
        """Plain text with the tokenizer's end behind it and, where the tokenizer begins texts so, its BOS."""
        tokenizer = self._template.tokenizer
        if tokenizer.eos_token_id is None:
            what = "The base's tokenizer has no end token: a model trained on plain text would never stop."
            return ResidencyError(what, "chat", "Name another base.")
        bos = [i for i in tokenizer("")["input_ids"][:1] if i == tokenizer.bos_token_id]
        ids = [*bos, *text_ids, tokenizer.eos_token_id]
        return Rendered(ids, [False, *[True] * (len(ids) - 1)])


def _counts(rendered: Rendered | ResidencyError) -> Counts | ResidencyError:
    if isinstance(rendered, ResidencyError):
        return rendered
    return Counts(len(rendered.ids), sum(rendered.supervised))


def _texts(conversation: Conversation) -> Iterator[str]:
    """Every text in a conversation that somebody wrote."""
    for turn in conversation:
        yield turn.content
        if turn.tool_calls or turn.tool_call_id:
            calls = [call.to_json() for call in turn.tool_calls]
            yield json.dumps([calls, turn.tool_call_id], ensure_ascii=False)
    if conversation.tools:
        yield json.dumps(conversation.tools, ensure_ascii=False)
