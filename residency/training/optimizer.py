"""AdamW over the weights that are trained, in groups that learn at different rates."""

from __future__ import annotations

import torch

from residency.core.recipe import Train


def make_optimizer(model: torch.nn.Module, config: Train) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) on the trained weights.

    With LoRA+ (Hayou et al. 2024, arXiv:2402.12354) the B matrices, which begin at 0, learn at
    `lora_plus_ratio` times the rate of A.
    """
    by_ratio: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            ratio = config.lora_plus_ratio if ".lora_B." in name else 1.0
            by_ratio.setdefault(ratio, []).append(parameter)
    groups = [{"params": parameters, "ratio": ratio} for ratio, parameters in by_ratio.items()]
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let every group learn at its ratio of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["ratio"]
