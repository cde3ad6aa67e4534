"""Models behind an OpenAI-compatible API in the recipe: the judge, and candidates that are asked there."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from residency.core.recipe_fields import Name, PathField, Section

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?")


def _is_address(url: str) -> str:
    """Refuse what may carry a key, and what would send it in the clear."""
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        fix = {"fix": "Give the address alone, and name the key's environment variable in key_env."}
        raise PydanticCustomError("may_be_secret", "a password or a query in an address may be a key", fix)
    schemes = ("https", "http") if parts.hostname in ("localhost", "127.0.0.1", "::1") else ("https",)
    if url and not (parts.scheme in schemes and _HOST.fullmatch(parts.netloc)):
        fix = {"fix": "Write https://...; http:// is for this machine (localhost, 127.0.0.1) alone."}
        raise PydanticCustomError("address", "this is no https address", fix)
    return url.rstrip("/")


def _is_variable(name: str) -> str:
    if name and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name):
        fix = {"fix": "Write the variable's name, e.g. OPENAI_API_KEY, and export the key there."}
        text = "this is no name of an environment variable (capitals, digits, _), and a recipe holds no key"
        raise PydanticCustomError("may_be_secret", text, fix)
    return name


Address = Annotated[str, AfterValidator(_is_address)]
Variable = Annotated[str, AfterValidator(_is_variable)]


class Endpoint(Section):
    """A model behind an OpenAI-compatible API."""

    url: Address = ""
    """Address of the API, e.g. `https://api.openai.com/v1`; `http` only on this machine."""
    model: str = ""
    """The model's name there."""
    key_env: Variable = ""
    """Name of the environment variable that holds the API key; empty where none is wanted."""
    timeout: float = Field(60.0, gt=0, le=3600)
    """Seconds a call may take."""
    retries: int = Field(4, ge=0, le=20)
    """How often a busy or failing server is asked again."""


class Priced(Endpoint):
    """A model behind an OpenAI-compatible API, with what its tokens cost and may cost."""

    price_in: float | None = Field(None, ge=0)
    """Price of a million prompt tokens; 0 where nobody bills."""
    price_out: float | None = Field(None, ge=0)
    """Price of a million answer tokens, in the same currency."""
    max_cost: float = Field(1.0, ge=0)
    """No call is made that could bring the cost of all answers above this; what is left out is reported."""

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What a call of so many tokens costs."""
        return (prompt_tokens * (self.price_in or 0) + completion_tokens * (self.price_out or 0)) / 1e6


class Judge(Priced):
    """A model behind an OpenAI-compatible API that grades answers: `judge` and `pairwise_judge`."""

    max_cost: float = Field(1.0, ge=0)
    """No call is made that could bring the cost of all that a run asks above this; the run stops."""
    max_tokens: int = Field(2048, ge=1, le=1_000_000)
    """Longest reply in tokens, thinking included."""
    rubric: PathField | None = None
    """Text file that says what a good answer is."""
    golden: PathField | None = None
    """JSONL of answers graded by people: input, expected, answer, and pass or, for pairs, better."""
    kappa: float = Field(0.6, ge=0, le=1)
    """Least agreement with the golden set, as Cohen's kappa; below it the judge does not count."""


class Remote(Priced):
    """A model behind an OpenAI-compatible API that is asked as the base is. The test rows are sent to it."""

    name: Name
    """What reports call it."""
    url: Address = Field(min_length=1)
    """Address of the API, e.g. `https://api.openai.com/v1`; `http` only on this machine."""
    model: str = Field(min_length=1)
    """The model's name there."""
    price_in: float = Field(ge=0)
    """Price of a million prompt tokens."""
    price_out: float = Field(ge=0)
    """Price of a million answer tokens, in the same currency."""
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    """Longest answer in tokens, thinking included; without it `task.max_new_tokens`."""
    constrain: bool = True
    """Whether `task.constrain` holds for its answers too, by `response_format`; not every server takes it."""
    concurrency: int = Field(4, ge=1, le=64)
    """Calls under way at a time."""
