"""Batched answers with a shared prefix equal transformers' own generate, prompt by prompt."""

import pytest
import torch
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from residency.models.generate import batches, generate

STOP = list(range(20, 28))
SIZE = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "initializer_range": 0.5,
}


def tiny(config_class, model_class, **more):
    torch.manual_seed(0)
    return model_class(config_class(**SIZE, **more)).eval().requires_grad_(False)


def alone(model, prompt, new, stop):
    ids = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    return [i for i in ids if i not in stop]


MODELS = {
    "llama": lambda: tiny(LlamaConfig, LlamaForCausalLM),
    "qwen3": lambda: tiny(Qwen3Config, Qwen3ForCausalLM),
    "gemma": lambda: tiny(GemmaConfig, GemmaForCausalLM),
    "mistral": lambda: tiny(MistralConfig, MistralForCausalLM, sliding_window=None),
    "short window": lambda: tiny(MistralConfig, MistralForCausalLM, sliding_window=6),
}


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("shared", [0, 1, 9])
def test_equals_plain_generate(family, shared):
    model = MODELS[family]()
    generator = torch.Generator().manual_seed(shared)
    draw = lambda n: torch.randint(3, 40, (n,), generator=generator).tolist()  # noqa: E731
    prefix = draw(shared)
    prompts = [prefix + draw(n) for n in (1, 7, 3, 12, 5)]
    answers = generate(model, prompts, max_new_tokens=8, stop_ids=STOP, batch_size=3)
    expected = [alone(model, prompt, 8, STOP) for prompt in prompts]
    assert [answer.ids for answer in answers] == expected
    assert any(answer.stopped for answer in answers)


def test_equal_prompts_and_none():
    model = MODELS["llama"]()
    same = generate(model, [[3, 4, 5]] * 3, max_new_tokens=4, stop_ids={39}, batch_size=2)
    assert [answer.ids for answer in same] == [alone(model, [3, 4, 5], 4, [39])] * 3
    assert generate(model, [], max_new_tokens=4, stop_ids={0}, batch_size=2) == []


def test_attention_is_put_back():
    model = MODELS["llama"]()
    generate(model, [[3, 4]], max_new_tokens=1, stop_ids={0}, batch_size=1)
    assert model.config._attn_implementation == "sdpa"


def test_batches_are_smaller_where_rows_are_long():
    # 16,384 tokens: two rows of 8,192 and no third, one of 10,000, and any one row however long
    lengths = [10, 20, 30, 8192, 8192, 10_000, 20_000]
    assert list(batches(range(7), lengths, 3)) == [[0, 1, 2], [3, 4], [5], [6]]
    assert list(batches([], [], 4)) == []
