"""The one root of errors that a user can mend."""

from __future__ import annotations

from collections.abc import Sequence


class ResidencyError(Exception):
    """A mistake the user can mend, told in three lines.

    Args:
        what: What is wrong, in one sentence.
        where: The file and row, the recipe's key, or the command it is about.
        fix: What to do about it.
    """

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(what, where, fix)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        return f"what:  {self.what}\nwhere: {self.where}\nfix:   {self.fix}"

    def to_json(self) -> dict[str, str]:
        """The arguments by name."""
        return {"what": self.what, "where": self.where, "fix": self.fix}


class SeveralErrors(ResidencyError):
    """All mistakes found in one place, told at once."""

    def __init__(self, errors: Sequence[ResidencyError]) -> None:
        first = errors[0]
        super().__init__(first.what, first.where, first.fix)
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[type[SeveralErrors], tuple[tuple[ResidencyError, ...]]]:
        return type(self), (self.errors,)  # from one process to another

    def __str__(self) -> str:
        return "\n\n".join(str(error) for error in self.errors)


class UnfitData(SeveralErrors):
    """Why training refuses the rows, though they could be read."""
