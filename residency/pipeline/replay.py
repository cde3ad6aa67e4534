"""Replay: rows of a general kind mixed into training, so that less is forgotten of what the base could do.

A. Robins, Connection Science 7 (1995) 123; on language models T. Scialom et al., arXiv:2205.12393. The
rows are learned without the task's system prompt, as they would be asked. None of them asks what a row of
the test or validation asks, or an item of a suite, word for word or nearly so: both must stay unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from residency.chat import Renderer
from residency.core.recipe import Recipe
from residency.core.records import Example, Message, Source, fingerprint
from residency.data.duplicates import words
from residency.data.ledger import Checked, Fate
from residency.data.reading.sources import naming_roots, replay_file, sources_of
from residency.data.rows import Rows, Store, hex_of
from residency.data.split.freeze import Frozen
from residency.data.twins.find import find_twin_words, neighbours
from residency.data.usable import Measure
from residency.evals.suites.load import load_suites


class Replay(NamedTuple):
    """The rows drawn, and the fate of every row they were drawn from."""

    rows: tuple[Checked, ...] = ()
    fates: tuple[Fate, ...] = ()
    wanted: int = 0
    """Rows that the share asks for; there may be fewer."""


def draw_replay(recipe: Recipe, frozen: Frozen, renderer: Renderer, folder: Path | None = None) -> Replay:
    """The rows that `train.replay` asks for; a larger share of the same file holds those of a smaller.

    `folder` has room for the rows while they are looked through.

    Raises:
        ResidencyError: the file cannot be read, or too many of its rows cannot be used.
    """
    settings, file = recipe.train, replay_file(recipe.train)
    if not settings.replay:
        return Replay()
    data = recipe.data.model_copy(update={"train": file, "input": None, "output": None})
    root = naming_roots({**sources_of(recipe.data), "replay": file})["replay"]
    reading = Measure(data, "", renderer).read(file, root, Store(folder))
    if reading.stop is not None:
        raise reading.stop
    kept_apart = _kept_apart(recipe, frozen)
    free, twins = _without_twins(reading.usable, kept_apart, recipe.data.near)
    wanted = round(settings.replay / (1 - settings.replay) * len(frozen.train))
    order = sorted(free, key=lambda row: fingerprint([settings.seed, row.example.id, row.example.source.row]))
    drawn, spare = order[:wanted], order[wanted:]
    fates = (
        *(refusal.fate for refusal in reading.refusals),
        *twins,
        *(Fate.of(row, "replay") for row in drawn),
        *(Fate.of(row, "spare", "more than train.replay asks for") for row in spare),
    )
    return Replay(tuple(drawn), tuple(sorted(fates, key=_place)), wanted)


def _kept_apart(recipe: Recipe, frozen: Frozen) -> dict[str, str]:
    """What must stay unseen: where it stands, by its words."""
    held_out = {words(row.example): str(row.example.source) for row in (*frozen.validation, *frozen.test)}
    items = {
        words(Example((*item.conversation, Message("assistant", "")), Source(suite.name, 1))): (
            f"the suite {suite.name}'s {item.id}"
        )
        for suite in load_suites(recipe.regression.suites)
        for item in suite.items
    }
    return held_out | items


def _without_twins(rows: Rows, kept_apart: Mapping[str, str], near: float) -> tuple[Rows, list[Fate]]:
    """The rows that ask nothing of what is kept apart, and the fates of the others."""
    apart = {fingerprint(text): place for text, place in kept_apart.items()}
    wordings = list(map(hex_of, rows.table["wording"].tolist()))
    texts = dict(zip(wordings, rows.words, strict=True)) | {fingerprint(t): t for t in kept_apart}
    alike = neighbours(find_twin_words(texts, near))
    free, fates = np.ones(len(rows), bool), list[Fate]()
    for place, own in enumerate(wordings):
        close = [own, *(wording for _, wording in alike.get(own, ()))]
        if places := [apart[wording] for wording in close if wording in apart]:
            fates.append(rows.fate(place, "twin", f"asks what {places[0]} asks, or nearly so"))
            free[place] = False
    return rows.where(free), fates


def _place(fate: Fate) -> tuple[str, int]:
    return fate.source.file, fate.source.row
