"""Greedy answers in batches; the prefix that all prompts share is computed and held once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from residency.core.progress import Advance, no_progress
from residency.models.attention import Trunk, attend, attending, require_plain
from residency.models.batches import batches
from residency.models.constrain import Guide
from residency.models.out_of_memory import DoesNotFitError, answer_in_batches, does_not_fit, within_memory

NAME = "residency_prefix"
_TOKENS = 16_384
"""Own tokens a batch at most, answers and pads included: so many are cached at a time."""
_READ = 2048
"""Own tokens of prompts computed at a time, pads included: so rows of like length are padded little, and on a
CPU, where it was measured, what a layer makes of them stays in the cache."""


@dataclass
class Generated:
    """The new tokens of one prompt, without the stop token."""

    ids: list[int] = field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class _Sight:
    """What the queries of one call see: B rows, L queries a row, A own keys a row.

    Attributes:
        prefix: A trunk a layer, or none where nothing is shared.
        query_BL: The queries' positions.
        key_BA: The own keys' positions. Pads, as queries and keys, have one behind all others:
            no token sees them, and they see all, so that no softmax is over nothing.
    """

    prefix: tuple[Trunk, ...]
    query_BL: Tensor
    key_BA: Tensor


_PAD = 1 << 30


def _prefix_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sight: _Sight,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The registry's form of `attend`: queries see the prefix and the row's own keys up to themselves."""
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    require_plain(module, dropout, kwargs)
    mask_BLA = sight.key_BA[:, None, :] <= sight.query_BL[:, :, None]
    if sliding_window is not None:
        mask_BLA &= sight.key_BA[:, None, :] > sight.query_BL[:, :, None] - sliding_window
    trunk = sight.prefix[module.layer_idx] if sight.prefix else None  # type: ignore[index]
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    return attend(q, k, v, scale=scale, mask=mask_BLA, trunk=trunk), None


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    batch_size: int,
    advance: Advance = no_progress,
    guide: Callable[[], Guide] | None = None,
) -> list[Generated]:
    """The most likely continuation of each prompt, token by token, until a stop token.

    With `guide`, the most likely of the tokens that a guide of its own allows it at each step.

    Prompts of like length are answered together, padded on the left of what they do not share; where
    they are long, fewer than `batch_size` of them.
    `seconds` is a batch's time divided by its rows; the shared prefix is charged to all alike.

    Raises:
        Unanswerable: a prompt and its answer do not fit into memory on their own.
    """
    results = [Generated() for _ in prompts]
    if not prompts:
        return results
    begun = time.perf_counter()
    shared = _shared_prefix(prompts) if _sees_all(model, prompts, max_new_tokens) else 0
    try:
        with within_memory(prompts):
            prefix = _compute_prefix(model, prompts[0][:shared]) if shared else ()
    except DoesNotFitError:
        raise does_not_fit(shared, 0) from None
    prefix_seconds = (time.perf_counter() - begun) / len(prompts)

    def answer(chosen: Sequence[int]) -> None:
        begun = time.perf_counter()
        answers = [Generated() for _ in chosen]
        own = [prompts[i][shared:] for i in chosen]
        guides = [guide() for _ in chosen] if guide else []
        _Batch(model, prefix, shared, own, answers, guides).run(max_new_tokens, frozenset(stop_ids))
        share = (time.perf_counter() - begun) / len(chosen)
        for i, answered in zip(chosen, answers, strict=True):
            answered.seconds = share + prefix_seconds
            results[i] = answered
        advance(len(chosen), "")

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    own_lengths = [len(p) - shared + max_new_tokens for p in prompts]
    lengths = [shared + own for own in own_lengths]
    with attending(model, NAME, _prefix_attention):
        answer_in_batches(batches(order, own_lengths, batch_size, _TOKENS), lengths, answer, model.device)
    return results


def _compute_prefix(model: PreTrainedModel, ids: Sequence[int]) -> tuple[Trunk, ...]:
    """Keys and values of the shared tokens, layer by layer."""
    cache = DynamicCache()
    model(
        input_ids=torch.tensor([ids], device=model.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return tuple(Trunk(keys[0].transpose(0, 1), values[0].transpose(0, 1)) for keys, values, *_ in cache)


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the common prefix; each prompt keeps at least one token of its own."""
    common: Sequence[int] = os.path.commonprefix([list(p) for p in prompts])
    return min(len(common), min(len(p) for p in prompts) - 1) if len(prompts) > 1 else 0


def _sees_all(model: PreTrainedModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> bool:
    """Whether every token sees the whole prefix: not where a sliding window is shorter than a row."""
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    return window is None or max(len(p) for p in prompts) + max_new_tokens <= window


class _Batch:
    """Prompts under way; finished rows leave the batch as soon as they are half of it.

    The prompts, which are sorted by length, are read a few at a time, with pads up to the longest of these,
    and go on together.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prefix: tuple[Trunk, ...],
        shared: int,
        own: Sequence[Sequence[int]],
        results: Sequence[Generated],
        guides: Sequence[Guide],
    ) -> None:
        self.model, self.prefix, self.live, self.guides = model, prefix, list(results), list(guides)
        self.shared, self.own = shared, own
        self.cache = DynamicCache()
        self.query_BL = self.key_BA = torch.empty(0, 0, dtype=torch.long, device=model.device)

    def run(self, max_new_tokens: int, stop_ids: frozenset[int]) -> None:
        """Fill the results."""
        logits_BV = self._read()
        for left in reversed(range(max_new_tokens)):
            token_B = self._choose(logits_BV)
            for row, (result, token) in enumerate(zip(self.live, token_B.tolist(), strict=True)):
                if token in stop_ids:
                    result.stopped = True
                elif not result.stopped:
                    result.ids.append(token)
                    if self.guides:
                        self.guides[row].take(token)
            if not left or all(r.stopped for r in self.live):
                return
            self.query_BL = self.query_BL[:, -1:] + 1
            self.key_BA = torch.cat((self.key_BA, self.query_BL), dim=1)
            token_B = self._drop_finished(token_B)
            sight = _Sight(self.prefix, self.query_BL, self.key_BA)
            logits_BV = self._forward(token_B[:, None], sight, self.cache)

    def _read(self) -> Tensor:
        """Compute the prompts into the cache; the logits behind each, [B, V]."""
        lengths = [len(ids) for ids in self.own]
        logits, sights, caches = [], [], []
        for rows in batches(range(len(lengths)), lengths, len(lengths), _READ):
            ids_BL, sight = self._padded([self.own[row] for row in rows])
            sights.append(sight)
            caches.append(DynamicCache())
            logits.append(self._forward(ids_BL, sight, caches[-1]))
        width = max(lengths)
        self.query_BL = self.key_BA = torch.cat([_widen(s.query_BL, width, 1, _PAD) for s in sights])
        self.cache = caches[0] if len(caches) == 1 else _join(caches, width)
        return torch.cat(logits)

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, _Sight]:
        """Token ids, padded on the left, and what they see."""
        longest, device = max(map(len, prompts)), self.model.device
        ids_BL = torch.tensor([[0] * (longest - len(ids)) + list(ids) for ids in prompts], device=device)
        pads_B = torch.tensor([longest - len(ids) for ids in prompts], device=device)
        place_BL = torch.arange(longest, device=device) - pads_B[:, None]
        query_BL = torch.where(place_BL >= 0, self.shared + place_BL, _PAD)
        return ids_BL, _Sight(self.prefix, query_BL, query_BL)

    def _forward(self, ids_BL: Tensor, sight: _Sight, cache: DynamicCache) -> Tensor:
        """The logits behind the last token of each row, [B, V]; keys and values go to the cache."""
        # An index copies the states; a slice would make torch copy the head's weights to each row.
        last = torch.tensor([ids_BL.shape[1] - 1], device=ids_BL.device)
        output = self.model(
            input_ids=ids_BL,
            position_ids=sight.query_BL.where(sight.query_BL < _PAD, 0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last,
            sight=sight,
        )
        logits_BV: Tensor = output.logits[:, -1]
        return logits_BV

    def _choose(self, logits_BV: Tensor) -> Tensor:
        """The most likely token of each row, of those that its guide allows."""
        if self.guides:
            logits_BV = logits_BV.masked_fill(~self._allowed(logits_BV.shape[1]), float("-inf"))
        return logits_BV.argmax(dim=-1)

    def _allowed(self, size: int) -> Tensor:
        """Which tokens may come next; all where the row has ended, for nobody looks at it any more."""
        ended_V = torch.ones(size, dtype=torch.bool)
        rows = zip(self.live, self.guides, strict=True)
        masks = [ended_V if result.stopped else guide.allowed(size) for result, guide in rows]
        return torch.stack(masks).to(self.model.device)

    def _drop_finished(self, token_B: Tensor) -> Tensor:
        """The tokens of the rows that go on."""
        keep = [i for i, r in enumerate(self.live) if not r.stopped]
        if len(keep) > len(self.live) / 2:
            return token_B
        index = torch.tensor(keep, device=token_B.device)
        self.cache.batch_select_indices(index)
        self.query_BL, self.key_BA = self.query_BL[index], self.key_BA[index]
        self.live = [self.live[i] for i in keep]
        self.guides = [self.guides[i] for i in keep] if self.guides else []
        return token_B[index]


def _join(caches: list[DynamicCache], width: int) -> DynamicCache:
    """One cache of all rows, padded on the left; it takes `caches` apart, so that nothing is held twice."""
    joined, read = DynamicCache(), [list(cache) for cache in caches]
    caches.clear()
    for number in range(len(read[0])):
        layers = [layers.pop(0) for layers in read]
        keys, values = (torch.cat([_widen(layer[i], width, 2, 0) for layer in layers]) for i in (0, 1))
        joined.update(keys, values, number)
    return joined


def _widen(x: Tensor, width: int, dim: int, value: int) -> Tensor:
    """Pads before a dimension, up to `width`."""
    if x.shape[dim] == width:
        return x
    shape = list(x.shape)
    shape[dim] = width - shape[dim]
    return torch.cat((x.new_full(shape, value), x), dim)
