"""How faults come into clean rows: one planter a check, by the check's id.

A planter is a function under `@plants` that changes a list of rows and gives the indices of those on which
the check must fire, or one under `@plants_each` that spoils a single row. It stands in a file that
`planted.py` imports.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.data.checks.clean import Row

Plant = Callable[[list[Row], random.Random], set[int]]
Spoil = Callable[[Row, random.Random], Row]


@dataclass(frozen=True)
class Planter:
    """How a check's faults come into clean rows."""

    family: str
    """The clean rows: a family of `clean.FAMILIES`, or `mixed`."""
    rows: int
    plant: Plant


PLANTERS: dict[str, Planter] = {}


def plants(id: str, family: str = "mixed", rows: int = 2400) -> Callable[[Plant], Plant]:
    """Register a function that plants faults of check `id` in a list of rows, in place."""

    def register(plant: Plant) -> Plant:
        PLANTERS[id] = Planter(family, rows, plant)
        return plant

    return register


def plants_each(
    id: str, family: str = "mixed", rows: int = 2400, share: float = 0.05
) -> Callable[[Spoil], Spoil]:
    """Register a function that spoils one row; it is given a share of the rows, drawn at random."""

    def register(spoil: Spoil) -> Spoil:
        def plant(rows: list[Row], chance: random.Random) -> set[int]:
            drawn = set(chance.sample(range(len(rows)), round(share * len(rows))))
            for place in sorted(drawn):
                rows[place] = spoil(rows[place], chance)
            return drawn

        PLANTERS[id] = Planter(family, rows, plant)
        return spoil

    return register
