"""Out of memory, rows that are not finite, and batches cut into parts: what is computed stays the same."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.chat import Rendered
from residency.core.errors import ResidencyError
from residency.core.progress import Silent
from residency.core.recipe import Train
from residency.core.workspace import read_json
from residency.models.adapters import attach_lora
from residency.models.packed.attention import use_packed_attention
from residency.training.checkpoint import checkpoints, trainable_state
from residency.training.loop import Trainer
from residency.training.memory import TooLarge
from residency.training.schedule import rows_of_step

from .conftest import draw_sequences, tiny_llama

SETTINGS = Train(rank=3, alpha=6, epochs=1, batch_size=5, learning_rate=0.01, micro_tokens=4096)
TRAIN = draw_sequences(0, 4, [6, 9, 12, 7, 8, 5, 11, 10, 6, 14])
VALIDATION = draw_sequences(1, 4, [8, 9, 7])
CPU = "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to ..."
DEVICE = (
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
    "MPS backend out of memory (MPS allocated: 17.80 GB)",
)
ERRORS = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), RuntimeError(CPU)]
ERRORS += [RuntimeError(f"{words} when asked") for words in DEVICE]


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def trainer(folder, settings=SETTINGS, train=TRAIN, validation=VALIDATION) -> Trainer:
    model = attach_lora(tiny_llama(), settings)
    return Trainer(model, train, validation, settings, folder, lambda side, n: f"{side}.jsonl:{n + 1}")


def room_for(run: Trainer, tokens: int, error: BaseException) -> None:
    """Let the model fail where it computes more tokens at a time."""

    def check(module, args, kwargs):
        if kwargs["packed_layout"].tokens > tokens:
            raise error

    run.model.register_forward_pre_hook(check, with_kwargs=True)


def weights(run: Trainer) -> list[torch.Tensor]:
    return [value.clone() for value in trainable_state(run.model).values()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_out_of_memory_goes_on_with_less_at_a_time(tmp_path, error):
    """A step has 4 + 88 tokens; it is cut until no part has more than 24."""
    settings = SETTINGS.model_copy(update={"batch_size": 10, "epochs": 3.0})
    tight, said = trainer(tmp_path / "tight", settings), Said()
    room_for(tight, 24, error)
    tight.run(said)
    told = [tuple(map(int, re.findall(r"(\d+) (?:tokens|\()", line))) for line in said.lines]
    assert told[0] == (92, 46)
    budgets = [4096, *(budget for _, budget in told)]
    assert budgets[1:] == [min(b, n) // 2 for b, (n, _) in zip(budgets, told, strict=False)]
    budget = tight.progress.micro_tokens
    assert budget == budgets[-1] and all("train.micro_tokens is 4,096" in line for line in said.lines)
    small = trainer(tmp_path / "small", settings.model_copy(update={"micro_tokens": budget}))
    small.run(Silent())
    assert all(torch.equal(a, b) for a, b in zip(weights(tight), weights(small), strict=True))
    assert read_json(checkpoints(tmp_path / "tight")[-1] / "state.json")["micro_tokens"] == budget
    again = trainer(tmp_path / "tight", settings)
    again.run(Silent())
    assert again.progress.micro_tokens == budget


def test_gradients_of_the_failed_attempt_are_thrown_away(tmp_path):
    """4 + 12 + 12 = 28 tokens in the first part, which fits, and 4 + 14 + 14 = 32 in the second."""
    tight, small = trainer(tmp_path / "tight"), trainer(tmp_path / "small")
    rows = draw_sequences(3, 4, [12, 12, 14, 14])
    for run, budget in ((tight, 37), (small, 16)):
        use_packed_attention(run.model)
        run.progress.micro_tokens = budget
    room_for(tight, 30, MemoryError())
    tight.accumulate(rows, learn=True)
    small.accumulate(rows, learn=True)
    assert tight.progress.micro_tokens == 16
    for a, b in zip(gradients(tight), gradients(small), strict=True):
        assert torch.equal(a, b)


def test_validation_rows_that_do_not_fit_together(tmp_path):
    run = trainer(tmp_path, validation=draw_sequences(1, 0, [30, 30, 30]))
    use_packed_attention(run.model)
    expected = run.validate()["loss"]
    room_for(run, 40, MemoryError())
    assert run.validate()["loss"] == pytest.approx(expected, rel=1e-6)
    assert run.progress.micro_tokens == 45


def test_a_row_that_does_not_fit_alone_is_named(tmp_path):
    run = trainer(tmp_path)
    room_for(run, 17, MemoryError())
    with pytest.raises(TooLarge, match="A row of 18 tokens does not fit into memory") as error:
        run.run(Silent())
    assert error.value.where == "training.jsonl:10"
    assert 9 in rows_of_step(run.plan, error.value.step, SETTINGS.batch_size, SETTINGS.seed)
    assert "data.max_tokens" in error.value.fix and "base.model" in error.value.fix


def test_other_failures_pass(tmp_path):
    run = trainer(tmp_path)
    room_for(run, 0, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        run.run(Silent())


POISON = min(set(range(7, 50)) - {token for row in (*TRAIN, *VALIDATION) for token in row.ids})


def poisoned(ids: list[int]) -> Rendered:
    """A row that holds a token which neither another row nor padding has."""
    return Rendered([*ids, POISON, 5, 6], [False] * (len(ids) + 1) + [True, True])


@pytest.mark.parametrize("side", ["training", "validation"])
def test_only_the_rows_whose_own_loss_is_not_finite_are_named(tmp_path, side):
    rows = [*TRAIN[:2], poisoned([1, 2, 3]), *TRAIN[2:4], poisoned([4])]
    run = trainer(tmp_path, **{"train" if side == "training" else "validation": rows})
    run.model.get_input_embeddings().weight.data[POISON] = float("nan")
    run.config = run.config.model_copy(update={"batch_size": 6})
    with pytest.raises(ResidencyError, match="not finite") as error:
        run.run(Silent())
    assert sorted(error.value.where.split(", ")) == [f"{side}.jsonl:3", f"{side}.jsonl:6"]


def gradients(run: Trainer) -> list[torch.Tensor]:
    return [p.grad for group in run.optimizer.param_groups for p in group["params"]]


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(3, 20), min_size=8, max_size=8), shared=st.integers(0, 6))
def test_eight_times_one_row_is_one_time_eight(tmp_path_factory, lengths, shared):
    """Loss and gradient are sums over the same supervised tokens, divided by their number in the step.

    That number is exact; the sums are taken in another order, so float32 agrees to rounding.
    """
    rows = draw_sequences(len(lengths), shared, lengths, multi_turn=True)
    runs = [trainer(tmp_path_factory.mktemp("run")) for _ in range(2)]
    for run, budget in zip(runs, (1, 4096), strict=True):
        use_packed_attention(run.model)
        for name, parameter in run.model.named_parameters():
            if "lora_B" in name:
                parameter.data.fill_(0.05)
        run.progress.micro_tokens = budget
    one, all_ = (run.accumulate(rows, learn=True)["loss"] for run in runs)
    assert one == pytest.approx(all_, rel=1e-5)
    for a, b in zip(*map(gradients, runs), strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm()
