"""Two answers to one input, of which one is preferred; and one answer, good or bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from residency.core.records import Message, Tools
from residency.data.shapes.answers import half, read_completion
from residency.data.shapes.shape import Draft, RowError, Shape, text_of
from residency.data.shapes.tools import TOOL_COLUMNS, tools_of
from residency.data.shapes.turns import given, read_turns

_HALVES_FIX = "Give both answers, or remove the row."
_TRUTH = {"true": True, "false": False}


def _read_preference(content: Mapping[str, Any]) -> Draft:
    """`chosen` and `rejected` after `prompt`; as turns they may begin with the prompt themselves."""
    _require_halves(content, "chosen", "rejected")
    chosen, rejected = half(content, "chosen", "assistant"), half(content, "rejected", "assistant")
    prompt: tuple[Message, ...] = ()
    if content.get("prompt") is not None:
        prompt = half(content, "prompt", "user")
    if chosen[0].role != "assistant":
        prompt = _prompt_within(prompt, chosen, rejected)
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    elif not prompt:
        fix = "Add a column prompt, or write both answers as turns that begin with the input's."
        raise RowError("'chosen' and 'rejected' have no prompt", fix, "preference")
    return _draft(prompt, chosen, rejected, tools_of(content))


def _draft(
    prompt: Sequence[Message], chosen: Sequence[Message], rejected: Sequence[Message], tools: Tools
) -> Draft:
    if [turn.role for turn in (*chosen, *rejected)] != ["assistant", "assistant"]:
        fix = "Let both answers be one assistant's turn after the same input."
        raise RowError("the two answers are not one assistant's turn each", fix, "preference")
    return Draft((*given(prompt), chosen[0]), tools, rejected[0])


def _prompt_within(
    prompt: tuple[Message, ...], chosen: tuple[Message, ...], rejected: tuple[Message, ...]
) -> tuple[Message, ...]:
    """The turns that both answers begin with; a prompt of its own must be the end of them."""
    pairs = zip(chosen[:-1], rejected[:-1], strict=False)
    common = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(chosen), len(rejected)) - 1)
    if prompt and tuple(t.text for t in prompt) != tuple(t.text for t in chosen[:common])[-len(prompt) :]:
        fix = "Leave the column prompt out, or let both answers begin with it."
        raise RowError("'chosen' and 'rejected' begin with turns that are not the prompt", fix, "preference")
    return chosen[:common]


def _read_openai(content: Mapping[str, Any]) -> Draft:
    _require_halves(content, "preferred_output", "non_preferred_output")
    asked = content.get("input")
    if not isinstance(asked, Mapping) or "messages" not in asked:
        raise RowError("'input' holds no messages", 'Write {"messages": [...]} in it.', "preference")
    chosen, rejected = (
        read_turns(content[name], f"'{name}'") for name in ("preferred_output", "non_preferred_output")
    )
    return _draft(read_turns(asked["messages"]), chosen, rejected, tools_of(asked))


def _require_halves(content: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if content.get(name) is None]
    if missing:
        reason = f"no {' and no '.join(repr(name) for name in missing)} beside the other answer"
        raise RowError(reason, _HALVES_FIX, "preference")


def _read_rated(content: Mapping[str, Any]) -> Draft:
    return read_completion(content)._replace(good=_TRUTH[text_of(content["label"], "'label'").lower()])


def _is_rating(content: Mapping[str, Any]) -> bool:
    label = content["label"]
    return isinstance(label, bool) or (isinstance(label, str) and label.lower() in _TRUTH)


PREFERENCE = Shape("preference", ("chosen", "rejected"), ("prompt", *TOOL_COLUMNS), _read_preference)
OPENAI_PREFERENCE = Shape(
    "preference", ("input", "preferred_output", "non_preferred_output"), (), _read_openai
)
RATED = Shape("rated answer", ("prompt", "completion", "label"), TOOL_COLUMNS, _read_rated, _is_rating)
