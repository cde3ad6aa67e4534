"""From a micro-batch to what an objective is given."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.models.packed.forward import supervised_logprobs
from residency.models.packed.packing import pack
from residency.training.objectives import Batch


def compute(model: PreTrainedModel, sequences: Sequence[Rendered], supervised_in_step: int) -> Batch:
    """Run a micro-batch through the model."""
    packed = pack(sequences, model.device)
    return Batch(supervised_logprobs(model, packed), packed.sequence_N, supervised_in_step)


def supervised_count(sequences: Sequence[Rendered]) -> int:
    """Supervised tokens of all sequences; a first token is never predicted and does not count."""
    return sum(sum(s.supervised[1:]) for s in sequences)
