"""That all sides minimise the same: losses and gradients in float32 on the same few rows and weights."""

from __future__ import annotations

import tempfile
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from torch import Tensor
from training_ours import Ours
from training_rows import Row
from training_trl import Setting, make_config, make_trainer
from transformers import PreTrainedModel
from trl import SFTTrainer

from residency.chat import Rendered
from residency.training.checkpoint import load_trainable, trainable_state
from residency.training.engine import compute, supervised_count
from residency.training.objectives import get_objective


class Result(NamedTuple):
    """What a side computed for the rows.

    Attributes:
        loss: Mean over the supervised tokens.
        gradient: Of all trained weights, one after the other.
    """

    loss: float
    gradient: Tensor

    def loss_error(self, reference: Result) -> float:
        """The relative difference."""
        return abs(self.loss - reference.loss) / abs(reference.loss)

    def gradient_error(self, reference: Result) -> float:
        """The length of the difference, relative."""
        difference = (self.gradient - reference.gradient).norm() / reference.gradient.norm()
        return difference.item()

    def error(self, reference: Result) -> float:
        """The larger of the two."""
        return max(self.loss_error(reference), self.gradient_error(reference))


def compare(connection: Connection, rows: list[Row], settings: list[Setting]) -> None:
    """Answer with the errors of ours and of TRL's settings, against plain transformers and PEFT."""
    connection.recv()
    trainers = [_float32_trainer(setting, rows) for setting in settings]
    plain = trainers[0].model.eval()
    _wake(plain)
    rendered = [row.rendered for row in rows]
    expected, expected_N = _row_by_row(plain, rendered)
    got, got_N = _ours(trainable_state(plain), rendered)
    answer: dict[str, Any] = {
        "parity_error": got.error(expected),
        "loss_error": got.loss_error(expected),
        "gradient_error": got.gradient_error(expected),
        "logprob_error": (got_N - expected_N).abs().max().item(),
    }
    for trainer in trainers:
        with torch.no_grad():
            load_trainable(trainer.model, trainable_state(plain))
    answer["trl_parity_errors"] = [_trl(trainer).error(expected) for trainer in trainers]
    connection.send(answer)


def _float32_trainer(setting: Setting, rows: list[Row]) -> SFTTrainer:
    """TRL with the setting's attention and padding, all rows in one batch."""
    model = {**setting.get("model_init_kwargs", {}), "dtype": "float32"}
    exact = {"model_init_kwargs": model, "bf16": False, "per_device_train_batch_size": len(rows)}
    return make_trainer(make_config({**setting, **exact}, tempfile.gettempdir()), rows)


def _wake(model: PreTrainedModel) -> None:
    """Give the B matrices values: with zeros there, half of the gradients would be zero."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in trainable_state(model).items():
        if "lora_B" in name:
            weight.normal_(std=0.02, generator=generator)


def _row_by_row(model: PreTrainedModel, rows: list[Rendered]) -> tuple[Result, Tensor]:
    """Full logits and torch's own softmax, each row alone.

    The softmax is in float64: over a large vocabulary torch's float32 one is itself wrong by 1e-5.
    """
    model.zero_grad()
    logprobs, supervised = [], supervised_count(rows)
    for ids, learned in rows:
        logits_LV = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1]
        target_L, mask_L = torch.tensor(ids[1:]), torch.tensor(learned[1:])
        chosen_N = logits_LV.double().log_softmax(-1).gather(1, target_L[:, None])[:, 0][mask_L]
        (-chosen_N.sum() / supervised).backward()
        logprobs.append(chosen_N.detach().sort().values)
    every_N = torch.cat(logprobs)
    return Result(-every_N.mean().item(), _gradient(model)), every_N


def _ours(weights: dict[str, Tensor], rows: list[Rendered]) -> tuple[Result, Tensor]:
    """All rows in one packed micro-batch."""
    ours = Ours(torch.float32)
    with torch.no_grad():
        load_trainable(ours.model, weights)
    batch = compute(ours.model, rows, supervised_count(rows))
    loss = get_objective("sft")(batch).loss
    loss.backward()
    logprobs_N = batch.logprobs_N.detach()
    # the engine may order a row's tokens as it likes, so each row's are compared in order of size
    each = [logprobs_N[batch.sequence_N == number].sort().values for number in range(len(rows))]
    return Result(loss.item(), _gradient(ours.model)), torch.cat(each)


def _trl(trainer: SFTTrainer) -> Result:
    """What TRL's own loss function says for the batch that its own collator makes."""
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    loss.backward()
    return Result(loss.item(), _gradient(trainer.model))


def _gradient(model: torch.nn.Module) -> Tensor:
    trained = sorted((name, p) for name, p in model.named_parameters() if p.requires_grad)
    return torch.cat([p.grad.flatten() for _, p in trained])
