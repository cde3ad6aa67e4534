"""A text file that the recipe names."""

from __future__ import annotations

from pathlib import Path

from residency.core.errors import ResidencyError


def read_text(file: Path) -> str:
    """What the file says, without a mark of its byte order.

    Raises:
        ResidencyError: it is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ResidencyError("The file is not UTF-8 text.", str(file), "Save it as UTF-8.") from None
