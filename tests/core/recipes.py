"""The smallest recipe, and what is told of one that is mistaken."""

from pathlib import Path

import pytest

from residency.core.errors import ResidencyError, SeveralErrors
from residency.core.recipe_file import load_recipe

MINIMAL = '[data]\ntrain = "rows.jsonl"\n'


def mistakes(file: Path, *overrides: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ResidencyError) as caught:
        load_recipe(file, overrides)
    error = caught.value
    several = error.errors if isinstance(error, SeveralErrors) else (error,)
    return [(e.what, e.where.replace(str(file), "FILE"), e.fix) for e in several]
