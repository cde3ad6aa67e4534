"""What an OpenAI-compatible server says is wrong: by its error's own fields, else by its words."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

_REFUSING = frozenset({400, 422})
"""Statuses with which a server refuses a call as it is."""
_UNSUPPORTED = re.compile(
    r"\b(?:unsupported|unknown|unrecogni[sz]ed|unexpected"
    r"|not supported|not (?:permitted|allowed)|(?:does|do) not (?:support|accept)|extra_forbidden)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n")
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
"""OpenAI's code, and llama.cpp's type."""
_TOO_LONG = re.compile(
    r"maximum (?:context|model|input) length|(?:available|the) context size|context window of"
    r"|exceeds? (?:the |its )?(?:\w+ )?context|(?:prompt|input) is too long"
    r"|max_tokens must be at least 1, got -|`inputs` tokens \+ `max_new_tokens` must be",
    re.IGNORECASE,
)
"""As OpenAI and vLLM, llama.cpp, its Python binding, Ollama, Anthropic and TGI say it."""


def error_of(text: str) -> dict[str, Any]:
    """What the API's error object says, or what stands for one; empty where nothing does."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    error = told.get("error", told if "message" in told else {})
    return error if isinstance(error, dict) else {"message": error}


def words_of(text: str) -> str:
    """What the server itself says is wrong, on one line."""
    return " ".join(str(error_of(text).get("message") or "").split())[:300].rstrip(".")


def refused_parameters(status: int, text: str, sent: Collection[str]) -> set[str]:
    """Which of the parameters `sent` the server says it does not take.

    By the field `param` (OpenAI), by the place in `detail` (FastAPI), or by a sentence in which the
    parameter stands as a word of its own; always beside 'unsupported', 'unknown' and the like, for a server
    that refuses a value takes the parameter.
    """
    if status not in _REFUSING or is_too_long(status, text):
        return set()
    error = error_of(text)
    message, code = str(error.get("message") or text), str(error.get("code"))
    if param := error.get("param"):
        unsupported = code.startswith("unsupported") or _UNSUPPORTED.search(message)
        return {str(param)} & set(sent) if unsupported else set()
    if places := _places(text):
        return places & set(sent)
    sentences = [sentence for sentence in _SENTENCE.split(message) if _UNSUPPORTED.search(sentence)]
    return {name for name in sent if any(re.search(rf"\b{name}\b", sentence) for sentence in sentences)}


def refuses_form(status: int, text: str) -> bool:
    """Whether the server does not take the form to which answers are to be held."""
    error = error_of(text)
    named = str(error.get("param") or "").startswith("response_format")
    return status in _REFUSING and (named or bool(re.search(r"response_format|json_schema|grammar", text)))


def is_too_long(status: int, text: str) -> bool:
    """Whether the prompt and its answer do not fit the model's context."""
    error = error_of(text)
    if {str(error.get("code")), str(error.get("type"))} & _TOO_LONG_CODES:
        return True
    return status in {*_REFUSING, 413} and bool(_TOO_LONG.search(str(error.get("message") or text)))


def _places(text: str) -> set[str]:
    """The names that FastAPI's validation does not take: the last part of each such fault's `loc`."""
    try:
        faults = json.loads(text)["detail"]
        return {
            str(fault["loc"][-1])
            for fault in faults
            if _UNSUPPORTED.search(f"{fault.get('type')} {fault.get('msg')}")
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        return set()
