"""`label`: one label, however it is written."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from residency.core.errors import ResidencyError
from residency.evals.scorers.registry import scorer
from residency.evals.scorers.score import EXPECTED, Score, differs

_AROUND = " \t\r\n\"'`“”„‘’«»"
# A dash that begins a number is a sign, so that the labels -1 and 1 stay two.
_JOINT = re.compile(r"(?!^-\d)[\s_-]+")


@scorer("label")
def label(expected: str, got: str) -> Score:
    """Passes when both are the same label.

    Case, quotes and white space around the label and a full stop after it count nothing; `_`, `-`
    and a space are the same, and so are two ways to write a letter with its marks (NFC).

    Raises:
        ResidencyError: the expected answer holds no label.
    """
    wanted = _label(expected)
    if not wanted:
        fix = "Write the label, or leave the row out."
        raise ResidencyError("The expected answer holds no label.", EXPECTED, fix)
    if wanted == _label(got):
        return Score(1.0, True, "")
    return Score(0.0, False, differs("", expected.strip(), got.strip() or None))


@lru_cache(maxsize=1024)
def _label(text: str) -> str:
    text = unicodedata.normalize("NFC", text).lstrip(_AROUND).rstrip(_AROUND + ".").casefold()
    return _JOINT.sub(" ", text).strip()
