"""Which rows a model can be asked and scored on: training needs tokens alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from residency.chat import Renderer
from residency.core.errors import ResidencyError
from residency.core.records import Example


def require_askable(examples: Iterable[Example], renderer: Renderer) -> None:
    """Refuse rows that no model can be scored on.

    Raises:
        ResidencyError: a row is plain text; or its answer is a tool call, and those of the base cannot be
            read back.
    """
    for example in examples:
        if example.is_text:
            what = "Plain text has no input and no answer: it can be learned, but no model can be asked it."
            fix = "Train with `residency train`, or name a data.test with inputs and answers."
            raise ResidencyError(what, str(example.source), fix)
        if example.messages[-1].tool_calls and not renderer.reads_calls:
            what = "The answer is a tool call, and those of the base's chat template are no JSON."
            fix = "Train with `residency train`, or name a base that writes calls as JSON objects."
            raise ResidencyError(what, str(example.source), fix)


def askable(examples: Sequence[Example]) -> list[Example]:
    """The rows that are no plain text.

    Raises:
        ResidencyError: all of them are.
    """
    found = [example for example in examples if not example.is_text]
    if not found:
        what = "All these rows are plain text, so that none can be shown as an example or asked."
        fix = "Train with `residency train`, by the loss; for a verdict add rows with inputs and answers."
        raise ResidencyError(what, str(examples[0].source), fix)
    return found
