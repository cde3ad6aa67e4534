"""How well each check finds what it is for: faults are planted in clean rows, and the flags counted.

`python -m tests.data.checks.planted` measures all checks that have a planter and prints the table; with
`--write` it goes into docs/data.md.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from residency.core.recipe import Data
from residency.data.check import examine
from tests.data.checks import faults as faults
from tests.data.checks.clean import Row, clean_rows
from tests.data.checks.planters import PLANTERS
from tests.data.conftest import WordRenderer

PAGE = Path(__file__).resolve().parents[3] / "docs" / "data.md"
_BEGIN = "<!-- Measured by `python -m tests.data.checks.planted --write`. -->"
_END = "<!-- End of the measured table. -->"


@dataclass(frozen=True)
class Measured:
    """What a check fired on."""

    id: str
    rows: int
    planted: int
    found: int
    """Planted rows that it fired on."""
    fired: int
    missed: tuple[Row, ...]
    false: tuple[Row, ...]

    @property
    def recall(self) -> float:
        return self.found / self.planted

    @property
    def precision(self) -> float:
        return self.found / self.fired if self.fired else 0.0

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        return (
            *(f"`{self.id}`", f"{self.rows:,}", f"{self.planted:,}"),
            *(f"{100 * self.recall:.1f} %", f"{100 * self.precision:.1f} %"),
        )


def fired_on(rows: Sequence[Row]) -> dict[str, set[int]]:
    """The indices of the rows on which each check fires, by its id."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "train.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        examination = examine(Data(train=file, max_refused=1, max_tokens=4096), "", WordRenderer())
    return {found.id: {flag.source.row - 1 for flag in found.rows} for found in examination.findings}


def measure(id: str, seed: int = 0) -> Measured:
    """Plant the faults of check `id` and count."""
    planter = PLANTERS[id]
    chance = random.Random(f"{id} {seed}")
    rows = clean_rows(planter.family, planter.rows, chance)
    must = planter.plant(rows, chance)
    fired = fired_on(rows).get(id, set())
    missed, false = ([rows[i] for i in sorted(places)] for places in (must - fired, fired - must))
    return Measured(id, len(rows), len(must), len(must & fired), len(fired), tuple(missed), tuple(false))


def table(measured: Sequence[Measured]) -> str:
    """The table as Markdown."""
    head = ("check", "rows", "faults planted", "recall", "precision")
    rows = [head, ["---"] * len(head), *(one.cells() for one in measured)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table_on_page() -> str:
    """The table as docs/data.md holds it; nothing where there is no page yet."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return text.partition(f"{_BEGIN}\n\n")[2].partition(f"\n{_END}")[0]


def framed(table: str) -> str:
    """The table between the lines by which it is found again."""
    return f"{_BEGIN}\n\n{table}\n{_END}"


def main() -> int:
    """Measure all checks that have a planter."""
    measured = [measure(id) for id in PLANTERS]
    for one in measured:
        for word, rows in (("missed", one.missed), ("false alarm", one.false)):
            for row in rows[:8]:
                print(f"{one.id}: {word}: {row}", file=sys.stderr)
    print(table(measured))
    if sys.argv[1:] == ["--write"]:
        text = PAGE.read_text(encoding="utf-8")
        frame = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
        PAGE.write_text(frame.sub(lambda _: framed(table(measured)), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
