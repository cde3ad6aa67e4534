"""How many processes torchrun started, and which of them this one is: 1 and the first without it."""

from __future__ import annotations

import os


def process_count() -> int:
    """Processes that work on the same command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the one that writes files and speaks to the user."""
    return os.environ.get("RANK", "0") == "0"
