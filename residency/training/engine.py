"""From packed sequences to the log-probabilities of their supervised tokens."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.training.logprobs import chosen_logprobs
from residency.training.objectives import Batch
from residency.training.packing import Packed, pack


def supervised_logprobs(model: PreTrainedModel, packed: Packed) -> Tensor:
    """Log-probabilities of the supervised tokens [N], float32; the head runs on P states only.

    The model must use the packed attention (see `use_packed_attention`).
    """
    output = model(
        input_ids=packed.ids_T[None],
        position_ids=packed.position_T[None],
        logits_to_keep=packed.predict_P,
        packed_layout=packed.layout,
        use_cache=False,
    )
    return chosen_logprobs(output.logits[0], packed.state_N, packed.target_N)


def compute(model: PreTrainedModel, sequences: Sequence[Rendered], supervised_in_step: int) -> Batch:
    """Run a micro-batch through the model."""
    packed = pack(sequences, model.device)
    return Batch(supervised_logprobs(model, packed), packed.sequence_N, supervised_in_step)


def supervised_count(sequences: Sequence[Rendered]) -> int:
    """Supervised tokens of all sequences; a first token is never predicted and does not count."""
    return sum(sum(s.supervised[1:]) for s in sequences)
