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

from residency.models.batches import batches
from residency.models.generate import generate
from residency.models.unanswerable import Unanswerable

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


@pytest.mark.parametrize("family", MODELS)
def test_prompts_read_a_few_at_a_time_go_on_together(family):
    """Sixty rows of 20 to 79 tokens are more than are read at a time, and padded to different lengths."""
    model = MODELS[family]()
    calls = room_for(model, 60, AssertionError())
    generator = torch.Generator().manual_seed(3)
    prompts = [[3, 4, *torch.randint(3, 40, (n,), generator=generator).tolist()] for n in range(20, 80)]
    answers = generate(model, prompts, max_new_tokens=4, stop_ids=[39], batch_size=60)
    own = len(calls) - (family != "short window")  # its prefix is not computed apart
    assert own >= 5 and max(calls) == 60
    for place in range(0, 60, 7):
        assert answers[place].ids == alone(model, prompts[place], 4, [39])


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
    assert list(batches(range(7), lengths, 3, 16_384)) == [[0, 1, 2], [3, 4], [5], [6]]
    assert list(batches([], [], 4, 100)) == []


def room_for(model, rows, error):
    """Let the model fail where it computes more rows at a time; the sizes that it was asked."""
    sizes = []

    def check(module, args, kwargs):
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > rows:
            raise error

    model.register_forward_pre_hook(check, with_kwargs=True)
    return sizes


PROMPTS = [[3, 4, 5, *range(6, 6 + n)] for n in (1, 9, 4, 7, 2, 12, 5, 8)]
OUT_OF_MEMORY = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_rows_that_do_not_fit_together_are_answered_in_halves(error, said_aside):
    how = {"max_new_tokens": 6, "stop_ids": STOP}
    wanted = [(a.ids, a.stopped) for a in generate(MODELS["llama"](), PROMPTS, **how, batch_size=1)]
    model, done = MODELS["llama"](), []
    sizes = room_for(model, 2, error)
    found = generate(model, PROMPTS, **how, batch_size=7, advance=lambda n, _: done.append(n))
    assert [(a.ids, a.stopped) for a in found] == wanted
    # the shared prefix alone; then 7 rows, 3 of them, 1 at a time
    assert sizes[:4] == [1, 7, 3, 1] and max(sizes[3:]) == 1 and done == [1] * 8
    assert [line.split(" rows")[0].strip() for line in said_aside] == ["7", "3"]
    assert "going on with 3 (candidates.batch_size = 3 begins so)" in said_aside[0]


def test_an_answer_half_done_when_memory_runs_out_begins_anew():
    """Memory runs out at the second token of two rows."""
    how = {"max_new_tokens": 6, "stop_ids": [39], "batch_size": 2}
    wanted = [a.ids for a in generate(MODELS["llama"](), PROMPTS[:2], **how)]
    model, calls = MODELS["llama"](), []

    def check(module, args, kwargs):
        calls.append(kwargs["input_ids"].shape)
        if len(calls) > 2 and len(kwargs["input_ids"]) > 1:
            raise MemoryError

    model.register_forward_pre_hook(check, with_kwargs=True)
    assert [a.ids for a in generate(model, PROMPTS[:2], **how)] == wanted
    assert calls[2][0] == 2


def test_a_prompt_that_does_not_fit_alone_is_told_with_its_place_and_the_keys():
    model = MODELS["llama"]()
    model.register_forward_pre_hook(fail_on_many, with_kwargs=True)
    with pytest.raises(Unanswerable, match="up to 21 tokens") as caught:
        generate(model, PROMPTS, max_new_tokens=6, stop_ids=STOP, batch_size=2)
    assert caught.value.place == 5 and "task.max_new_tokens" in caught.value.where


def fail_on_many(module, args, kwargs):
    if kwargs["input_ids"].shape[1] > 10:
        raise MemoryError


def test_other_failures_pass():
    model = MODELS["llama"]()
    room_for(model, 0, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        generate(model, PROMPTS, max_new_tokens=6, stop_ids=STOP, batch_size=2)
