"""The stages before any model answers: check the rows, freeze the split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from residency.chat import Renderer
from residency.core.errors import ResidencyError, UnfitData
from residency.core.recipe import Recipe
from residency.core.workspace import read_json, write_jsonl
from residency.data.check import Examination, examine
from residency.data.rows import Rows
from residency.data.split.freeze import Frozen, freeze
from residency.data.split.lock import Lock
from residency.evals.golden import score_golden
from residency.evals.scored import require_form
from residency.evals.scorers import scorer_of
from residency.evals.scorers.judge import graded_golden, require_agreement
from residency.models.source import locate
from residency.models.tokenizer import load_tokenizer


def check(recipe: Recipe, folder: Path) -> Examination:
    """Read and examine the rows; writes the examination, with the reasons for which training refuses them.

    A judge that is to score grades the golden set, unless the rows are refused: `scored.jsonl`.
    """
    renderer = Renderer(load_tokenizer(locate(recipe.base)))
    examination = examine(recipe.data, recipe.task.system, renderer, recipe.split.group, folder)
    stops = examination.stops or _ask_judge(recipe, folder)
    stops = (*stops, *_unfit_for_task(examination, recipe))
    examination = replace(examination, stops=stops)
    examination.write(folder)
    return examination


def require_trainable(checked: Path) -> None:
    """Raise UnfitData where there are reasons for which training refuses the rows."""
    stops = [ResidencyError(**error) for error in read_json(checked / "examination.json")["stops"]]
    if stops:
        raise UnfitData(stops)


def _ask_judge(recipe: Recipe, folder: Path) -> tuple[ResidencyError, ...]:
    """Have the judge, if there is one, grade the golden set; why it does not count, where it does not.

    Raises:
        ResidencyError: it cannot be asked, for which no run is refused for good.
    """
    scorer = scorer_of(recipe)
    if scorer.judge is None:
        return ()
    rows = score_golden(graded_golden(scorer.judge, scorer.name))
    write_jsonl(folder / "scored.jsonl", (row.to_json() for row in rows))
    try:
        require_agreement(scorer.judge, scorer.name)
    except ResidencyError as error:
        return (error,)
    return ()


def _unfit_for_task(examination: Examination, recipe: Recipe) -> Iterator[ResidencyError]:
    """An answer that is not of the scorer's form, so that no model could be scored; answers without room."""
    needs: tuple[Callable[[Examination, Recipe], None], ...] = (_require_form, _require_room)
    for need in needs:
        try:
            need(examination, recipe)
        except ResidencyError as error:
            yield error


def _require_form(examination: Examination, recipe: Recipe) -> None:
    scorer = scorer_of(recipe)
    if scorer.judge is not None:  # which takes any answer
        return
    for rows in examination.examples.values():
        asked = rows.where(~rows.table["is_text"])
        require_form(scorer, (row.example for row in asked.with_different_answers()))


def _require_room(examination: Examination, recipe: Recipe) -> None:
    """Refuse `task.max_new_tokens` that would cut off more than a tenth of the answers wanted."""
    room = recipe.task.max_new_tokens
    single = [rows.where(_is_single(rows)) for rows in examination.examples.values()]
    longer = [rows.where(rows.table["supervised"] > room) for rows in single]
    count, cut = sum(map(len, single)), sum(map(len, longer))
    if cut > count / 10:
        longest = max(int(rows.table["supervised"].max()) for rows in longer if rows)
        first = next(rows.source(0) for rows in longer if rows)
        raise ResidencyError(
            f"{cut:,} of {count:,} answers are longer than {room} tokens, and would be cut off.",
            f"task.max_new_tokens, e.g. {first}",
            f"Give them room: --set task.max_new_tokens={longest}",
        )


def _is_single(rows: Rows) -> NDArray[np.bool_]:
    """Whether what is learned of each row is the answer alone."""
    return (rows.table["turns"] < 4) & ~rows.table["is_text"]


def freeze_rows(recipe: Recipe, examination: Examination, lock: Lock, folder: Path) -> Frozen:
    """Draw the sides; writes the rows of each, the ledger, the test's hash and what is newly locked."""
    frozen = freeze(examination, recipe.split, recipe.data.near, lock.read(), folder)
    frozen.write(folder)
    return frozen
