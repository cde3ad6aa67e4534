"""`numeric`: the last number of the answer, within a tolerance."""

from __future__ import annotations

import re
from decimal import Decimal

from residency.core.errors import ResidencyError
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, differs

# Commas stand between thousands alone: 1,234.5 is one number, 1,5 are two.
_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(rf"(?<![\w.])[-+\u2212]?(?:{_WHOLE})(?:[eE][-+]?\d{{1,3}}(?!\d))?")


@scorer("numeric")
def numeric(expected: str, got: str, *, tolerance: float, relative_tolerance: float) -> Score:
    """Passes when the last numbers of both texts differ by no more than the larger tolerance.

    The relative one is a share of the expected number. Compared as decimals, so that 0.1 is 0.1.

    Raises:
        ResidencyError: the expected answer holds no number.
    """
    wanted, given = _last_number(expected), _last_number(got)
    if wanted is None:
        fix = "Write the number, or choose another task.scorer."
        raise ResidencyError("The expected answer holds no number.", EXPECTED, fix)
    if given is None:
        return Score(0.0, False, differs("", str(wanted), None))
    room = max(Decimal(str(tolerance)), Decimal(str(relative_tolerance)) * abs(wanted))
    passed = abs(wanted - given) <= room
    return Score(float(passed), passed, "" if passed else differs("", str(wanted), str(given)))


def _last_number(text: str) -> Decimal | None:
    found = _NUMBER.findall(text)
    return Decimal(found[-1].replace(",", "").replace("\u2212", "-")) if found else None
