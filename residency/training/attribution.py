"""Which training rows taught an answer: the likeness of gradients with respect to the adapter's weights.

A small step on one row changes the loss of another by -rate x the product of their gradients, which TracIn
sums over checkpoints (Pruthi et al. 2020, arXiv:2002.08484); here the adapter as it was saved is the only
one. The cosine stands in for the product, since short answers have large gradients (LESS; Xia et al. 2024,
arXiv:2402.04333).
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from residency.chat import Rendered
from residency.models.lora_linear import drop_waiting
from residency.models.out_of_memory import DoesNotFitError, give_back, within_memory
from residency.training.engine import compute, supervised_count
from residency.training.objectives import Objective

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
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._places = 2 * dimensions  # the first half is added, the second taken away
        total = sum(weight.numel() for weight in self._weights)
        generator = torch.Generator().manual_seed(seed)
        place = torch.randint(self._places, (total,), generator=generator, dtype=torch.int32)
        self._place = place.to(model.device)

    def gradient(self, loss: Tensor) -> Tensor:
        """The gradient of `loss`, whole, the weights in their order in the model."""
        gradients = torch.autograd.grad(loss, self._weights, materialize_grads=True)
        return torch.cat([part.flatten().float() for part in gradients])

    def project(self, gradient: Tensor) -> Tensor:
        """The few numbers that are kept of a gradient."""
        added, taken = gradient.new_zeros(self._places).index_add_(0, self._place, gradient).chunk(2)
        return added - taken

    def of(self, loss: Tensor) -> Tensor:
        """The sketch of the gradient of `loss`, float32."""
        return self.project(self.gradient(loss))


def row_loss(model: PreTrainedModel, row: Rendered, objective: Objective) -> Tensor:
    """The loss that training minimises, of one row. The model must use the packed attention."""
    return objective(compute(model, [row], supervised_count([row]))).loss


def sketch_row(
    sketch: GradientSketch, model: PreTrainedModel, row: Rendered, objective: Objective
) -> Tensor | None:
    """The sketch of the gradient of a row's loss; None where the row does not fit into memory."""
    try:
        with within_memory([row]):
            return sketch.of(row_loss(model, row, objective))
    except DoesNotFitError:
        pass
    # Here, since only after the handler nothing holds the failed computation's tensors.
    drop_waiting(model)
    give_back(model.device)
    return None


def cosines(one_FW: Tensor, other_BW: Tensor) -> Tensor:
    """The cosine of each row of one with each of the other, [F, B]; 0 for a row of zeros."""
    normalize = torch.nn.functional.normalize
    return normalize(one_FW, dim=1) @ normalize(other_BW, dim=1).T
