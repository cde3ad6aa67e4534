"""What a scorer is, and the names under which recipes find them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from residency.core.errors import ResidencyError, SeveralErrors
from residency.core.recipe import Judge, Recipe, Scoring
from residency.evals.scorers.own import load_rule
from residency.evals.scorers.score import Rule, Score


@dataclass(frozen=True)
class Scorer:
    """A rule with its settings: called with the expected answer, the answer got and what was asked."""

    name: str
    rule: Rule
    settings: Mapping[str, Any] = field(default_factory=dict)
    costly: bool = False
    """Runs programs, loads a model or calls one: rows are scored side by side, and none without need."""

    @property
    def judge(self) -> Judge | None:
        """The model that it asks for a grade; most ask none."""
        return self.settings.get("judge")

    def __call__(self, expected: str, got: str, prompt: str = "") -> Score:
        """The score of one answer."""
        asked = {"prompt": prompt} if "prompt" in _read_by(self.rule) else {}
        return self.rule(expected, got, **self.settings, **asked)


class _Entry(NamedTuple):
    rule: Rule
    costly: bool


_SCORERS: dict[str, _Entry] = {}


def scorer(name: str, *, costly: bool = False) -> Callable[[Rule], Rule]:
    """Register the decorated function as the scorer `name`.

    Raises:
        ValueError: another scorer has that name, or the function reads what no recipe holds.
    """

    def register(rule: Rule) -> Rule:
        if name in _SCORERS:
            raise ValueError(f"There is a scorer '{name}' already.")
        if unknown := _read_by(rule) - {*Scoring.model_fields, "judge", "prompt"}:
            raise ValueError(f"[scoring] has no key {', '.join(sorted(unknown))}.")
        _SCORERS[name] = _Entry(rule, costly)
        return rule

    return register


def scorer_names() -> list[str]:
    """The names of all scorers, sorted."""
    return sorted(_SCORERS)


def get_scorer(name: str, scoring: Scoring | None = None, judge: Judge | None = None) -> Scorer:
    """The scorer called `name`, or the function of the user's own that it names, with its settings.

    Raises:
        ResidencyError: there is none, or it does not read a setting that is given.
    """
    scoring, judge = scoring or Scoring(), judge or Judge()
    entry = _Entry(load_rule(name), costly=True) if ".py:" in name else _SCORERS.get(name)
    if entry is None:
        known = ", ".join(scorer_names())
        raise ResidencyError(f"There is no scorer '{name}'.", "task.scorer", f"Use one of: {known}.")
    reads = _read_by(entry.rule)
    _refuse_unread(name, reads, scoring, judge)
    held = {key: getattr(scoring, key) for key in Scoring.model_fields} | {"judge": judge}
    return Scorer(name, entry.rule, {key: held[key] for key in reads if key in held}, entry.costly)


def scorer_of(recipe: Recipe) -> Scorer:
    """The recipe's scorer with its settings.

    Raises:
        ResidencyError: see `get_scorer`.
    """
    return get_scorer(recipe.task.scorer, recipe.scoring, recipe.judge)


@cache
def _read_by(rule: Rule) -> frozenset[str]:
    parameters = inspect.signature(rule).parameters.values()
    return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _refuse_unread(name: str, reads: Set[str], scoring: Scoring, judge: Judge) -> None:
    given = [
        f"scoring.{key}" for key in Scoring.model_fields if getattr(scoring, key) != getattr(Scoring(), key)
    ]
    given += ["judge"] if judge != Judge() else []
    mistakes = []
    for place in given:
        key = place.removeprefix("scoring.")
        if key not in reads:
            readers = ", ".join(other for other in scorer_names() if key in _read_by(_SCORERS[other].rule))
            what = f"The scorer '{name}' does not read {place}."
            fix = f"Take it out, or set task.scorer to one that reads it: {readers}."
            mistakes.append(ResidencyError(what, place, fix))
    if mistakes:
        raise SeveralErrors(mistakes)
