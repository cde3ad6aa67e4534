"""Answers that refuse or speak as an assistant's model does: a tuned model would learn to say so."""

from __future__ import annotations

import re

from residency.core.records import Example
from residency.data.checks.registry import row_check

_AS_AN_AI = re.compile(r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b", re.IGNORECASE)


@row_check(
    "as-an-ai",
    "warning",
    meaning="the answer speaks as a language model does. A tuned model learns to say so too.",
    fix="Write the answer as the product should give it, or remove the row.",
    suspicion=0.8,
)
def as_an_ai(example: Example) -> str | None:
    """Phrases such as `as an AI language model`."""
    found = _AS_AN_AI.search(example.answer)
    return f"'{found.group()}'" if found else None
