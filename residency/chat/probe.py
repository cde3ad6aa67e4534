"""What a template does around a turn, found by showing it turns whose text is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from residency.chat.template import Template
from residency.core.errors import ResidencyError
from residency.core.records import Conversation, Message

MARK = "residency-probe-mark"
"""A text that no template trims or splits, and that nobody writes."""
_QUESTION = Message("user", "residency-probe-question")
_ANSWER = Message("assistant", MARK)
_PLAIN_FIX = "Name a model whose chat template takes each turn's content as plain text."


@dataclass(frozen=True)
class Surroundings:
    """What stands around an assistant's text.

    `lead` is what the template puts between the generation prompt and the text: nothing for most,
    an empty thought for Qwen3. `tail` is the white space between the text and the stop token.
    `structure` are the texts that a tokenizer reads as structure.
    """

    stop_ids: frozenset[int]
    lead: str
    tail: str
    structure: frozenset[str]


def around_mark(template: Template, conversation: Conversation, index: int) -> tuple[str, str] | None:
    """The text before and after turn `index`, or None if the template does not show it once."""
    marked = with_turn(conversation, index, replace(conversation[index], content=MARK))
    before, *rest = template.text(marked).split(MARK)
    return (before, rest[0]) if len(rest) == 1 else None


def with_turn(conversation: Conversation, index: int, turn: Message) -> Conversation:
    """The conversation with another turn in the place of number `index`."""
    turns = (*conversation.turns[:index], turn, *conversation.turns[index + 1 :])
    return Conversation(turns, conversation.tools)


def first_solid(template: Template, ids: list[int]) -> int | None:
    """The first token that is more than white space."""
    return next((i for i in ids if template.decode([i]).strip()), None)


def probe(template: Template) -> Surroundings:
    """Find the stop token, the lead and the structure tokens.

    Raises:
        ResidencyError: the template does not show the assistant's text, or does not end it with a token
            of its own, so that a model could not learn to stop.
    """
    try:
        found = around_mark(template, Conversation((_QUESTION, _ANSWER)), 1)
        prompt = template.text(Conversation((_QUESTION,)), generation_prompt=True)
        past = template.text(Conversation((_QUESTION, _ANSWER, _QUESTION)))
    except ResidencyError as error:
        raise ResidencyError(error.what, "base.model", _PLAIN_FIX) from None
    if found is None:
        what = "The chat template does not show the assistant's text just as it is, once."
        raise ResidencyError(what, "base.model", _PLAIN_FIX)
    before, after = found
    lead = before.removeprefix(prompt) if before.startswith(prompt) else ""
    stop_ids = _stop_ids(template, after)
    tail = after[: len(after) - len(after.lstrip())]
    return Surroundings(stop_ids, lead, tail, _structure(template, past, stop_ids))


def _stop_ids(template: Template, after: str) -> frozenset[int]:
    """The token that follows the assistant's text, and the tokenizer's own end."""
    stop = first_solid(template, template.encode([after])[after])
    if stop not in template.tokenizer.added_tokens_decoder:
        what = "The chat template does not end the assistant's turn with a token of its own "
        what += f"(behind the text stands {after[:40]!r}): a model trained on it would never learn to stop."
        fix = "Name a model whose template ends the assistant's turn with its end token."
        raise ResidencyError(what, "base.model", fix)
    eos = template.tokenizer.eos_token_id
    return frozenset([stop] if eos is None else [stop, eos])


def _structure(template: Template, past: str, stop_ids: frozenset[int]) -> frozenset[str]:
    """Special tokens, stop tokens, and other added tokens that the template writes around past turns.

    Some tokenizers do not flag their turn markers as special (DeepSeek's `<｜User｜>`). Pairs of tags such
    as `<think>` and `</think>` are often added tokens too, but may stand in an answer.
    """
    written = set(template.encode([past])[past])
    added = template.tokenizer.added_tokens_decoder
    texts = {token.content for token in added.values()}
    pairs = {part for text in texts if f"</{text[1:]}" in texts for part in (text, f"</{text[1:]}")}
    return frozenset(
        token.content
        for i, token in added.items()
        if not token.content.isspace()
        and (token.special or i in stop_ids or (i in written and token.content not in pairs))
    )
