"""From packed sequences to the log-probabilities of their supervised tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.training.objectives import Batch
from residency.training.packing import Packed, pack


def autocast(model: PreTrainedModel) -> AbstractContextManager[object]:
    """Mixed precision where the base is bfloat16: adapters stay float32, products run in bfloat16."""
    if model.dtype == torch.bfloat16:
        return torch.autocast(model.device.type, dtype=torch.bfloat16)
    return nullcontext()


def supervised_logprobs(model: PreTrainedModel, packed: Packed) -> Tensor:
    """Log-probabilities of the supervised tokens [N], float32; the head runs on P states only.

    The model must use the packed attention (see `use_packed_attention`).
    """
    with autocast(model):
        output = model(
            input_ids=packed.ids_T[None],
            position_ids=packed.position_T[None],
            logits_to_keep=packed.predict_P,
            packed_layout=packed.layout,
            use_cache=False,
        )
    logits_PV: Tensor = output.logits[0].float()
    chosen_N = logits_PV[packed.state_N, packed.target_N]
    return chosen_N - logits_PV.logsumexp(dim=-1)[packed.state_N]


def compute(model: PreTrainedModel, sequences: Sequence[Rendered], supervised_in_step: int) -> Batch:
    """Run a micro-batch through the model."""
    packed = pack(sequences, model.device)
    return Batch(supervised_logprobs(model, packed), packed.sequence_N, supervised_in_step)


def supervised_count(sequences: Sequence[Rendered]) -> int:
    """Supervised tokens of all sequences; a first token is never predicted and does not count."""
    return sum(sum(s.supervised[1:]) for s in sequences)
