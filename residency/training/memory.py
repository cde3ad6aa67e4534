"""A training that memory has no room for."""

from __future__ import annotations

from residency.core.errors import ResidencyError


class TooLarge(ResidencyError):
    """Training holds more than there is memory, even a row at a time; it took `step` steps."""

    def __init__(self, what: str, where: str, fix: str, step: int) -> None:
        super().__init__(what, where, fix)
        self.step = step
