"""Greedy answers in batches; the prefix that all prompts share is computed once."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


@dataclass
class Generated:
    """The new tokens of one prompt, without the stop token."""

    ids: list[int] = field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    batch_size: int,
    advance: Callable[[int, str], None] = lambda done, note: None,
) -> list[Generated]:
    """The most likely continuation of each prompt, token by token, until a stop token.

    Prompts of like length are answered together, padded on the left of what they do not share.
    `seconds` is a batch's time divided by its rows; the shared prefix is charged to all alike.
    """
    begun = time.perf_counter()
    prefix = _shared_prefix(prompts)
    cache = DynamicCache(config=model.config)
    if prefix:
        ids = torch.tensor([prompts[0][:prefix]], device=model.device)
        model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    prefix_seconds = (time.perf_counter() - begun) / max(len(prompts), 1)
    results = [Generated() for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        begun = time.perf_counter()
        batch = _Batch(model, cache, prefix, [prompts[i] for i in chosen], [results[i] for i in chosen])
        batch.run(max_new_tokens, frozenset(stop_ids))
        share = (time.perf_counter() - begun) / len(chosen)
        for i in chosen:
            results[i].seconds = share + prefix_seconds
        advance(len(chosen), "")
    return results


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the common prefix; each prompt keeps at least one token of its own."""
    if len(prompts) < 2:
        return 0
    common: Sequence[int] = os.path.commonprefix([list(p) for p in prompts])
    return min(len(common), min(len(p) for p in prompts) - 1)


class _Batch:
    """Prompts under way; finished rows leave the batch as soon as they are half of it."""

    def __init__(
        self,
        model: PreTrainedModel,
        prefix_cache: DynamicCache,
        prefix: int,
        prompts: Sequence[Sequence[int]],
        results: Sequence[Generated],
    ) -> None:
        rows, longest = len(prompts), max(len(p) for p in prompts) - prefix
        self.model = model
        self.live = list(results)
        self.cache = copy.deepcopy(prefix_cache)
        self.cache.batch_repeat_interleave(rows)
        pads = [longest - (len(p) - prefix) for p in prompts]
        padded = [[0] * pad + list(p[prefix:]) for pad, p in zip(pads, prompts, strict=True)]
        self.ids = torch.tensor(padded, device=model.device)
        own = torch.arange(longest, device=model.device) >= torch.tensor(pads, device=model.device)[:, None]
        self.mask = torch.cat((own.new_ones(rows, prefix), own), dim=1).long()
        self.positions = (self.mask.cumsum(dim=1) - 1).clamp(min=0)[:, prefix:]

    def run(self, max_new_tokens: int, stop_ids: frozenset[int]) -> None:
        """Fill the results."""
        for _ in range(max_new_tokens):
            token_B = self._step()
            for result, token in zip(self.live, token_B.tolist(), strict=True):
                if token in stop_ids:
                    result.stopped = True
                elif not result.stopped:
                    result.ids.append(token)
            if all(r.stopped for r in self.live):
                return
            self.ids = token_B[:, None]
            self.mask = torch.cat((self.mask, self.mask.new_ones(len(self.live), 1)), dim=1)
            self.positions = self.positions[:, -1:] + 1
            self._drop_finished()

    def _step(self) -> Tensor:
        output = self.model(
            input_ids=self.ids,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        token_B: Tensor = output.logits[:, -1].argmax(dim=-1)
        return token_B

    def _drop_finished(self) -> None:
        keep = [i for i, r in enumerate(self.live) if not r.stopped]
        if len(keep) > len(self.live) / 2:
            return
        index = torch.tensor(keep, device=self.ids.device)
        self.cache.batch_select_indices(index)
        self.ids, self.mask, self.positions = self.ids[index], self.mask[index], self.positions[index]
        self.live = [self.live[i] for i in keep]
