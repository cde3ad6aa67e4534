"""What training minimises: one small pure function a file, registered under a name.

An objective gets log-probabilities and returns a loss and metrics. It sees no model, no loop.
"""

from residency.training.objectives.registry import Batch, Loss, Objective, get_objective, objective

__all__ = ["Batch", "Loss", "Objective", "get_objective", "objective"]
