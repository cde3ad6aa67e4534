"""A function of the user's own as a scorer: `task.scorer = "my_file.py:function"`.

The file is run, with all rights of the user: only because the recipe names it.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from residency.core.errors import ResidencyError
from residency.evals.scorers.score import Rule, Score, marked

_FORM = "Write it as: def name(expected: str, got: str) -> bool, or a number from 0 to 1, or a Score."


def load_rule(name: str) -> Rule:
    """The rule that `file.py:function` names; a `prompt` parameter is given what was asked.

    Raises:
        ResidencyError: there is no such file or function, or the file fails when it is run.
    """
    file, _, function = name.rpartition(":")
    found = getattr(_run(Path(file)), function, None)
    if not callable(found):
        raise ResidencyError(f"There is no function '{function}' in {file}.", "task.scorer", _FORM)
    wants_prompt = "prompt" in inspect.signature(found).parameters

    def rule(expected: str, got: str, *, pass_mark: float, prompt: str) -> Score:
        return _call(name, found, (expected, got, *([prompt] if wants_prompt else [])), pass_mark)

    return rule


def _run(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scorer_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        fix = "Correct the path; it is taken from the recipe's folder."
        raise ResidencyError(f"There is no file {file}.", "task.scorer", fix)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything, and is the user's to mend
        what = f"The file fails when it is run: {type(error).__name__}: {error}."
        raise ResidencyError(what, str(file), "Mend the file.") from error
    return module


def _call(name: str, function: Callable[..., Any], arguments: tuple[str, ...], pass_mark: float) -> Score:
    try:
        result = function(*arguments)
    except ResidencyError:
        raise
    except Exception as error:  # as above
        what = f"{name} failed: {type(error).__name__}: {error}."
        raise ResidencyError(what, "task.scorer", "Mend the function.") from error
    if isinstance(result, np.generic):
        result = result.item()
    if isinstance(result, Score) and 0 <= result.value <= 1:
        return result
    if isinstance(result, bool):
        return Score(float(result), result, "" if result else "refused by the function")
    if isinstance(result, int | float) and 0 <= result <= 1:
        return marked("score", float(result), pass_mark)
    raise ResidencyError(f"{name} returned {result!r}, which is no score.", "task.scorer", _FORM)
