from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from residency.chat import Rendered
from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.training.loop import Trainer
from tests.objectives import own_objectives as own_objectives

SIZE = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}


def tiny_llama(seed: int = 0, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**SIZE)).to(dtype).eval().requires_grad_(False)


def draw_sequences(seed: int, shared: int, lengths: list[int], multi_turn: bool = False) -> list[Rendered]:
    """Random rows with a common prefix; the last third of each is supervised, and parts before it.

    Behind the prefix, `lengths` tokens are read, and one more is the last to learn.
    """
    generator = torch.Generator().manual_seed(seed)

    def tokens(n: int) -> list[int]:
        return torch.randint(1, 50, (n,), generator=generator).tolist()

    prefix, rows = tokens(shared), []
    for length in lengths:
        ids = prefix + tokens(length + 1)
        supervised = [i >= len(ids) - max(1, length // 3) for i in range(len(ids))]
        if multi_turn:
            supervised[len(ids) // 4 : len(ids) // 3] = [True] * (len(ids) // 3 - len(ids) // 4)
        rows.append(Rendered(ids, supervised))
    return rows


def draw_tree(seed: int, lengths: list[int], fan: int) -> list[Rendered]:
    """A tree's rows: `fan` nodes under each, of about `lengths[level]` tokens; the root is not supervised."""
    generator = torch.Generator().manual_seed(seed)

    def below(prefix: list[int], level: int) -> list[list[int]]:
        spread = int(torch.randint(0, 3, (1,), generator=generator))
        tokens = torch.randint(1, 50, (lengths[level] + spread,), generator=generator).tolist()
        row = prefix + tokens
        if level + 1 == len(lengths):
            return [row]
        return [leaf for _ in range(fan) for leaf in below(row, level + 1)]

    rows = [row if len(row) > 1 else [*row, 1, 2] for row in below([], 0)]
    return [Rendered(row, [i >= min(lengths[0], len(row) - 1) for i in range(len(row))]) for row in rows]


@pytest.fixture
def lora_model() -> LlamaForCausalLM:
    """A tiny Llama with LoRA whose B matrices are not 0, so that every gradient is alive."""
    model = attach_lora(tiny_llama(), Train(rank=3, alpha=6, seed=1))
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    return model


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Ctrl-C before step `number`, counted from 0, wherever a trainer runs."""
    step = Trainer.step

    def killed(self: Trainer, now: int) -> float:
        if now == number:
            raise KeyboardInterrupt
        return step(self, now)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", killed)
        yield
