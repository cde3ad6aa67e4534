"""The card of an artifact, `residency.json`: what it was trained with, and so what it may be loaded with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from residency.core.errors import ResidencyError
from residency.core.recipe import Method
from residency.core.workspace import read_json, write_json

_NAME = "residency.json"


@dataclass(frozen=True)
class Card:
    """What an adapter or model was trained with.

    Attributes:
        method: How it was trained.
        base: Fingerprint of the base it was trained from.
        renderer: Fingerprint of the tokenizer and chat template.
        system: The system prompt it was trained with.
        dtype: Number format in which it is evaluated and served.
        quantised: The format of 4 bits in which the base beneath an adapter is held, if any.
    """

    method: Method
    base: str
    renderer: str
    system: str
    dtype: str
    quantised: str | None

    def write(self, folder: Path) -> None:
        """Write the card into `folder`."""
        write_json(folder / _NAME, asdict(self))

    def require(self, base: str, renderer: str, quantised: str | None, folder: Path) -> None:
        """Refuse another base, template or format of the base's weights than the artifact's own.

        Raises:
            ResidencyError: it would answer otherwise than it was evaluated.
        """
        for how, then, now in (
            ("on another base", self.base, base),
            ("with another tokenizer or chat template", self.renderer, renderer),
            ("on a base held in another format", self.quantised, quantised),
        ):
            if then != now:
                thing = "model" if self.method == "full" else "adapter"
                what = f"The {thing} was trained {how}: {then}, not {now}."
                raise ResidencyError(what, str(folder), "Use the base it was trained on, or train again.")


def read_card(folder: Path) -> Card:
    """The card of the artifact in `folder`.

    Raises:
        ResidencyError: another version wrote it.
    """
    content = read_json(folder / _NAME)
    if content.keys() != Card.__dataclass_fields__.keys():
        fix = "Run its recipe again with this version."
        raise ResidencyError("This model was made by another version.", str(folder / _NAME), fix)
    return Card(**content)
