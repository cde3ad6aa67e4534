"""Prompts that a model cannot answer, told with their place, so that who knows the rows can name them."""

from __future__ import annotations

from residency.core.errors import ResidencyError


class Unanswerable(ResidencyError):
    """A prompt cannot be answered; `place` is its place among the prompts asked together, from 0."""

    def __init__(self, what: str, where: str, fix: str, place: int = 0) -> None:
        super().__init__(what, where, fix)
        self.place = place


class TooLong(Unanswerable):
    """A prompt with its answer is longer than the model's context; `places` are all that are known to be."""

    def __init__(self, what: str, where: str, fix: str, place: int = 0, *others: int) -> None:
        super().__init__(what, where, fix, place)
        self.places = (place, *others)

    def at(self, *places: int) -> TooLong:
        """The same of the prompts at other places."""
        return TooLong(self.what, self.where, self.fix, *places)
