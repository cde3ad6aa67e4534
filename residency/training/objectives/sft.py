"""Supervised fine-tuning: the mean cross-entropy of the assistant's tokens."""

from residency.training.objectives.registry import Batch, Loss, objective


@objective("sft")
def sft(batch: Batch) -> Loss:
    """Negative log-likelihood, in nats, averaged over the supervised tokens of the step."""
    return Loss(-batch.logprobs_N.sum() / batch.supervised_in_step, {})
