"""The form to which base and tuned model are held, where the recipe wants one."""

from __future__ import annotations

from collections.abc import Sequence

from residency.core.errors import ResidencyError
from residency.core.recipe import Task
from residency.core.records import Example
from residency.data.labels import is_short, labels_of
from residency.models.constrain import Constraint, Labels, Schema


def constraint_of(task: Task, train: Sequence[Example]) -> Constraint | None:
    """None where answers are free; labels are those of the training rows, for the test's are not known.

    Raises:
        ResidencyError: labels are wanted, and the answers of the training rows are none.
    """
    if task.schema_file:
        return Schema(task.schema_file)
    if task.constrain == "none":
        return None
    labels = labels_of([example.answer for example in train])
    if labels is None:
        what = (
            "The answers of the training rows are no labels: few short ones that stand there again and again."
        )
        raise ResidencyError(what, "task.constrain", 'Set it to "none", or to "schema" for answers in JSON.')
    return Labels(tuple(sorted(filter(is_short, labels))))
