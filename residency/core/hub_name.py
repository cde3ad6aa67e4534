"""The name of a dataset on the Hugging Face hub, as it stands where a path may: `hf:owner/name:split`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HUB = "hf:"
_FORM = re.compile(r"hf:([\w.-]+/[\w.-]+)(?::([\w.-]+))?")


@dataclass(frozen=True)
class HubName:
    """A dataset's repository, and the split of it that is meant."""

    repository: str
    split: str | None

    def __str__(self) -> str:
        return f"{HUB}{self.repository}" + (f":{self.split}" if self.split else "")

    @staticmethod
    def parse(path: Path) -> HubName:
        """The name that stands in the place of a path.

        Raises:
            ValueError: it is not of the form `hf:owner/name` or `hf:owner/name:split`.
        """
        found = _FORM.fullmatch(str(path))
        if not found:
            raise ValueError(f"not of the form hf:owner/name: {path}")
        return HubName(*found.groups())


def on_hub(path: Path) -> bool:
    """Whether a path is the name of a dataset on the hub; a file called so is reached by `./hf:...`."""
    return str(path).startswith(HUB)
