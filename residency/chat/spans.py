"""Which tokens of a rendered conversation the assistant wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from residency.chat.probe import MARK, around_mark, first_solid, with_turn
from residency.chat.template import TURNS_FIX, Template
from residency.core.errors import ResidencyError
from residency.core.records import Conversation

PAST_FIX = "Leave the assistant's earlier turns out of the row, or name another base."
THOUGHT_FIX = "If the prompt opens a thought (<think>), begin the answer with one."


@dataclass(frozen=True, slots=True)
class Turn:
    """Where to look for the assistant's turn number `number`.

    It begins where the first text of `befores` ends whose tokens begin the conversation. It ends with
    the first stop token from there on; `after` is the text behind a past turn, which must agree. With
    tool calls it begins within them.
    """

    number: int
    befores: tuple[str, ...]
    after: str | None
    learned: bool
    calls: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A conversation as text, with the places to look for what the assistant wrote."""

    text: str
    turns: tuple[Turn, ...]

    def texts(self) -> list[str]:
        """Every text whose tokens `supervise` needs."""
        afters = [turn.after for turn in self.turns if turn.after is not None]
        return [self.text, *(text for turn in self.turns for text in turn.befores), *afters]


def lay_out(template: Template, conversation: Conversation) -> Layout:
    """Render the conversation, and the prompt of each of its assistant turns.

    Raises:
        ResidencyError: the last turn is not the assistant's, or the template refuses the turns.
    """
    text = template.text(conversation)
    last = len(conversation) - 1
    if conversation[last].role != "assistant":
        what = f"The conversation ends with a {conversation[last].role} turn: there is nothing to learn."
        raise ResidencyError(what, "chat", "End it with the assistant's answer.")
    past = [
        (_past_calls if turn.tool_calls else _past)(template, conversation, index, text)
        for index, turn in enumerate(conversation[:last])
        if turn.role == "assistant" and turn.weight
    ]
    prompt, learned = _prompt(template, conversation, last), bool(conversation[last].weight)
    return Layout(text, (*past, Turn(last + 1, (prompt,), None, learned)))


def _prompt(template: Template, conversation: Conversation, index: int) -> str:
    if index == 0:
        raise ResidencyError("The conversation begins with the assistant's turn.", "chat", TURNS_FIX)
    return template.text(conversation[:index], generation_prompt=True)


def _past(template: Template, conversation: Conversation, index: int, text: str) -> Turn:
    """A past turn may be written in another way than the last (Qwen3 drops its thoughts): find its text."""
    found = around_mark(template, conversation, index)
    if found is not None:
        before, after = found
        if text.startswith(before) and text.endswith(after) and len(before) + len(after) <= len(text):
            return Turn(index + 1, (_prompt(template, conversation, index), before), after, True)
    what = f"The assistant's turn {index + 1} cannot be found in the text that the chat template writes."
    raise ResidencyError(what, "chat", PAST_FIX)


def _past_calls(template: Template, conversation: Conversation, index: int, text: str) -> Turn:
    """A past turn with tool calls: other arguments of the last call change the text within the turn alone."""
    turn = conversation[index]
    *others, last = turn.tool_calls
    marked = replace(turn, tool_calls=(*others, replace(last, arguments={MARK: MARK})))
    other = template.text(with_turn(conversation, index, marked))
    after = os.path.commonprefix([text[::-1], other[::-1]])[::-1]
    shown = around_mark(template, conversation, index) if turn.content else None
    befores = (_prompt(template, conversation, index), *(shown[:1] if shown else ()))
    return Turn(index + 1, befores, after, True, calls=True)


def supervise(
    template: Template, layout: Layout, encoded: Mapping[str, list[int]], stop_ids: frozenset[int]
) -> list[bool]:
    """For each token of the conversation, whether the assistant wrote it.

    Raises:
        ResidencyError: a turn does not begin or end at a token of its own; nothing is guessed.
    """
    ids = encoded[layout.text]
    mask = [False] * len(ids)
    for turn in layout.turns:
        prefixes = (encoded[text] for text in turn.befores)
        begin = next((len(prefix) for prefix in prefixes if ids[: len(prefix)] == prefix), None)
        if begin is None:
            raise _no_begin(layout, turn)
        end = next((place for place in range(begin, len(ids)) if ids[place] in stop_ids), None)
        after = None if turn.after is None else encoded[turn.after]
        if end is None or not _rest_agrees(template, ids[end:], after, stop_ids, within=turn.calls):
            what = f"Turn {turn.number} does not end with the token that ends the assistant's answer."
            raise ResidencyError(what, "chat", PAST_FIX)
        mask[begin : end + 1] = [turn.learned] * (end + 1 - begin)
    return mask


def _rest_agrees(
    template: Template, rest: list[int], after: list[int] | None, stop_ids: frozenset[int], *, within: bool
) -> bool:
    """Whether `rest`, from the stop token on, is what stands behind a past turn, counted in stop tokens.

    Where `after` begins `within` the turn, its first token need not be the stop token.
    """
    if after is None:
        return True
    same_count = sum(i in stop_ids for i in rest) == sum(i in stop_ids for i in after)
    return same_count and (within or first_solid(template, after) == rest[0])


def _no_begin(layout: Layout, turn: Turn) -> ResidencyError:
    """Why the tokens of the prompt are not the first tokens of the conversation."""
    if not layout.text.startswith(turn.befores[-1]):
        what = f"With the answer there, the template writes the prompt of turn {turn.number} in another way: "
        what += "what was trained would not be what is served."
        fix = f"{THOUGHT_FIX} Else name a base whose template begins a training row with its prompt."
        return ResidencyError(what, "chat", fix)
    what = f"The tokenizer joins the end of the prompt of turn {turn.number} and the start of the answer: "
    what += "a served prompt would end inside a token."
    fix = f"Take the white space off the start of the answer. {THOUGHT_FIX} Else name another base."
    return ResidencyError(what, "chat", fix)
