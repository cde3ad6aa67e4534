"""Which training rows taught an answer: the likeness of gradients with respect to the adapter's weights.

A small step on one row changes the loss of another by -rate x the product of their gradients, which TracIn
sums over checkpoints (Pruthi et al. 2020, arXiv:2002.08484); here the adapter as it was saved is the only
one. The cosine stands in for the product, since short answers have large gradients (LESS; Xia et al. 2024,
arXiv:2402.04333).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.core.progress import Advance, no_progress, say
from residency.models.lora_linear import drop_waiting
from residency.models.out_of_memory import work_in_batches
from residency.training.objectives import Objective
from residency.training.row_gradients import find_updates, gradients_at_once, gradients_one_by_one

DIMENSIONS = 8192
"""Numbers kept of a gradient: a cosine is off by about 1 / sqrt(8192) = 0.011."""


class GradientSketch:
    """Gradients as a few numbers each, so that those of many rows are in memory at once.

    Every weight's gradient is added, with a random sign, to one of the places at random; products of what
    comes out are, in the mean over the draws, those of the gradients (Weinberger et al. 2009,
    arXiv:0902.2206, lemma 2).
    """

    def __init__(self, model: PreTrainedModel, dimensions: int = DIMENSIONS, seed: int = 0) -> None:
        """Draw a place and a sign for each weight of `model` that wants a gradient."""
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._places = 2 * dimensions  # the first half is added, the second taken away
        self._device = model.device
        sizes = [weight.numel() for weight in weights]
        generator = torch.Generator().manual_seed(seed)
        place = torch.randint(self._places, (sum(sizes),), generator=generator).to(self._device)
        self._place_of: dict[Tensor, Tensor] = dict(zip(weights, place.split(sizes), strict=True))

    def zeros(self, rows: int) -> Tensor:
        """What the gradients of B rows are added to, [B, 2W]."""
        return torch.zeros(rows, self._places, device=self._device)

    def add(self, sums: Tensor, weight: Tensor, gradient: Tensor) -> None:
        """Add the gradients of B rows with respect to one weight, [B, *weight], in place."""
        place = self._place_of[weight].expand(len(gradient), -1)
        sums.scatter_add_(1, place, gradient.flatten(1).float())

    def kept(self, sums: Tensor) -> Tensor:
        """The few numbers that are kept of each row, [B, W], once all weights have been added."""
        added, taken = sums.chunk(2, dim=1)
        return added - taken


class RowSketches:
    """Sketches of the gradients of single rows, computed many rows at a time where the adapter allows it.

    The model must use the packed attention.
    """

    def __init__(self, model: PreTrainedModel, objective: Objective) -> None:
        self.model, self.objective = model, objective
        self.sketch = GradientSketch(model)
        self._updates = find_updates(model)

    def of(
        self, rows: Sequence[Rendered], budget: int, advance: Advance = no_progress
    ) -> list[Tensor | None]:
        """One [W] for each row, float32; None for a row that does not fit into memory on its own.

        Rows of like length go together, up to `budget` tokens, and fewer once memory runs out.
        """
        found: list[Tensor | None] = [None] * len(rows)

        def work(batch: Sequence[int]) -> None:
            for place, sketch_W in zip(batch, self.compute([rows[place] for place in batch]), strict=True):
                found[place] = sketch_W
            advance(len(batch), "")

        def fewer(rows: int, most: int) -> None:
            said = f"{rows:,} rows at a time do not fit into memory: going on with {most:,}"
            say(f"  gradients: {said}")

        def alone(_: int) -> None:
            advance(1, "")

        batches = by_length([len(row.ids) for row in rows], budget if self._updates else 0)
        work_in_batches(batches, work, self.model.device, fewer=fewer, alone=alone)
        return found

    def compute(self, rows: Sequence[Rendered]) -> Tensor:
        """The sketches of rows, [B, W], as they come."""
        sums: dict[tuple[int, ...], Tensor] = {}

        def take(weight: Tensor, numbers: tuple[int, ...], gradient: Tensor) -> None:
            if numbers not in sums:
                sums[numbers] = self.sketch.zeros(len(numbers))
            self.sketch.add(sums[numbers], weight, gradient)

        try:
            if self._updates is None:
                gradients_one_by_one(self.model, rows, self.objective, take)
            else:
                gradients_at_once(self.model, self._updates, rows, self.objective, take)
        except BaseException:
            drop_waiting(self.model)
            raise
        order = torch.tensor([number for numbers in sums for number in numbers])
        return self.sketch.kept(torch.cat(list(sums.values())))[order.argsort()]


def by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Places of rows of like length, the shortest first: up to `budget` tokens together, or one row."""
    part: list[int] = []
    tokens = 0
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if part and tokens + lengths[place] > budget:
            yield part
            part, tokens = [], 0
        part.append(place)
        tokens += lengths[place]
    if part:
        yield part


def cosines(one_FW: Tensor, other_BW: Tensor) -> Tensor:
    """The cosine of each row of one with each of the other, [F, B]; 0 for a row of zeros."""
    normalize = torch.nn.functional.normalize
    return normalize(one_FW, dim=1) @ normalize(other_BW, dim=1).T
