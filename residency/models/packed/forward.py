"""From packed sequences to the log-probabilities of their supervised tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.models.lora_linear import drop_waiting
from residency.models.packed.logprobs import Head, chosen_logprobs, normalisers
from residency.models.packed.packing import Packed, pack


def supervised_logprobs(model: PreTrainedModel, packed: Packed) -> Tensor:
    """Log-probabilities of the supervised tokens [N], float32; the head runs on P states only.

    The model must use the packed attention (see `use_packed_attention`). Where its logits are those
    of a linear layer and nothing more, they are computed in chunks, and no more than some of them kept.
    """
    head = linear_head(model)
    if head is None:
        logits_PV = _forward(model, packed)
        chosen_N = logits_PV[packed.state_N, packed.target_N].float()
        return chosen_N - normalisers(logits_PV)[packed.state_N]
    with _withheld(head) as states:
        _forward(model, packed)
    return chosen_logprobs(states[0][0], Head(head.weight, head.bias), packed.state_N, packed.target_N)


def _forward(model: PreTrainedModel, packed: Packed) -> Tensor:
    """Logits [P, V]."""
    try:
        output = model(
            input_ids=packed.ids_T[None],
            position_ids=packed.position_T[None],
            logits_to_keep=packed.predict_P,
            packed_layout=packed.layout,
            use_cache=False,
        )
    except BaseException:
        drop_waiting(model)
        raise
    logits_PV: Tensor = output.logits[0]
    return logits_PV


@contextmanager
def _withheld(head: torch.nn.Module) -> Iterator[list[Tensor]]:
    """Keep what is given to the head, [1, P, H], in the format of its products; it computes nothing."""
    states: list[Tensor] = []

    def keep(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        device = inputs[0].device.type
        autocast = torch.is_autocast_enabled(device)
        states.append(inputs[0].to(torch.get_autocast_dtype(device)) if autocast else inputs[0])
        return inputs[0][:, :0]

    hook = head.register_forward_pre_hook(keep)
    try:
        yield states
    finally:
        hook.remove()


_IS_LINEAR: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()


@torch.no_grad()
def linear_head(model: PreTrainedModel) -> torch.nn.Linear | None:
    """The head if it alone makes the logits, which is tried once: some models scale or cap them."""
    head: torch.nn.Module = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear:
        return None
    if head not in _IS_LINEAR:
        tokens = 8  # more than one: a padding token's state may be 0
        packed = pack([Rendered(list(range(tokens)), [True] * tokens)], model.device)
        outputs: list[Tensor] = []
        hook = head.register_forward_hook(lambda _, given, output: outputs.append(output))
        try:
            logits_PV = _forward(model, packed)
        finally:
            hook.remove()
        _IS_LINEAR[head] = torch.equal(outputs[0][0], logits_PV)
    return head if _IS_LINEAR[head] else None
