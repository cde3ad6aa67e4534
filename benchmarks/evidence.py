"""Do the verdict's figures keep what they promise? Simulated, where the truth is known.

`python benchmarks/evidence.py [--json]`, a few minutes on one core. The table stands in docs/evidence.md.

- false ship: 1,000 comparisons a cell of candidates that are equally good, through the real verdict.
- coverage: how often an interval of 95 % holds the truth. Wilson's exactly, the others by draws.
- doubled: the same of what twice the training rows would bring, where the law of the curve holds.
- detectable difference: how often the real verdict ships at the difference that is said to be told
  80 % of the time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from residency.core.recipe import Prices, Verdict
from residency.evals.scored import Scored
from residency.evals.statistics import (
    POWER,
    bootstrap_difference,
    detectable,
    effective_rows,
    foresee_doubling,
    paired,
    wilson,
)
from residency.verdict.advice import advise
from residency.verdict.decide import Beside, decide, summarise

CONFIDENCE = 0.95
SETTINGS = Verdict(confidence=CONFIDENCE)
DRAWS = 1000
SHARES = (0.5, 0.7, 0.9)
SIZES = (50, 150, 500)


class Cell(NamedTuple):
    """A point of a grid and what was measured there."""

    what: str
    where: str
    value: float


def scored_row(candidate: str, number: int, passed: bool, split: str = "test") -> Scored:
    return Scored(
        candidate, split, str(number), f"f:{number}", "", "", "", float(passed), passed, "", 1, 1, 0.1
    )  # type: ignore[arg-type]


class Deck:
    """Rows made once, both ways, so that a draw only picks them."""

    def __init__(self, names: Sequence[str], n: int) -> None:
        both = (False, True)
        self.rows = {name: [[scored_row(name, i, p) for p in both] for i in range(n)] for name in names}
        self.train = [scored_row("tuned", i, i % 2 == 0, "train") for i in range(10)]

    def gate(self, passes: dict[str, np.ndarray]) -> str:
        rows = [
            self.rows[name][i][int(p)] for name, drawn in passes.items() for i, p in enumerate(drawn.tolist())
        ]
        rows += self.train
        candidates = summarise(rows, SETTINGS.confidence)
        advice = advise(candidates, rows, SETTINGS, Prices(), seconds_to_start=60)
        return decide(rows, SETTINGS, advice, Beside()).gate


def equal_candidates(
    rng: np.random.Generator, share: float, n: int, k: int, correlation: float
) -> np.ndarray:
    """Passes of k candidates on n rows, all with the same share and the pairwise correlation [k, n]."""
    common = rng.random(n) < share
    copied = rng.random((k, n)) < math.sqrt(correlation)
    return np.where(copied, common, rng.random((k, n)) < share)


def false_ship(rng: np.random.Generator) -> Iterator[Cell]:
    for n, baselines, correlation in itertools.product((50, 150), (1, 3), (0.0, 0.6)):
        names = [*(f"b{i}" for i in range(baselines)), "tuned"]
        deck = Deck(names, n)
        ships = 0
        for _ in range(DRAWS):
            drawn = equal_candidates(rng, 0.7, n, len(names), correlation)
            ships += deck.gate(dict(zip(names, drawn, strict=True))) == "ship"
        yield Cell("false ship", f"n {n}, baselines {baselines}, correlation {correlation}", ships / DRAWS)


def wilson_coverage() -> Iterator[Cell]:
    for n, share in itertools.product(SIZES, SHARES):
        counts = np.arange(n + 1)
        held = [low <= share <= high for low, high in (wilson(k, n, CONFIDENCE) for k in counts)]
        yield Cell("Wilson", f"n {n}, p {share}", float(stats.binom.pmf(counts, n, share)[held].sum()))


def paired_coverage(rng: np.random.Generator) -> Iterator[Cell]:
    for n, share, correlation in itertools.product(SIZES, SHARES, (0.0, 0.3, 0.6)):
        better = min(0.95, share + 0.05)
        spread = math.sqrt(share * (1 - share) * better * (1 - better))
        both = share * better + correlation * spread
        chances = [both, share - both, better - both, 1 - share - better + both]
        if min(chances) < 0:
            continue
        tables, times = np.unique(rng.multinomial(n, chances, size=4 * DRAWS), axis=0, return_counts=True)
        held = 0
        for cells, count in zip(tables.tolist(), times.tolist(), strict=True):
            a = [True] * (cells[0] + cells[1]) + [False] * (cells[2] + cells[3])
            b = [True] * cells[0] + [False] * cells[1] + [True] * cells[2] + [False] * cells[3]
            low, high = paired(a, b, CONFIDENCE).interval
            held += count * (low <= better - share <= high)
        yield Cell("paired", f"n {n}, p {share}, correlation {correlation}", held / times.sum())


def clusters(rng: np.random.Generator, groups: int) -> np.ndarray:
    """The cluster of each row: half are rows alone, the others 2 to 6 rows."""
    sizes = np.where(rng.random(groups) < 0.5, 1, rng.integers(2, 7, groups))
    return np.repeat(np.arange(groups), sizes)


def clustered_coverage(rng: np.random.Generator) -> Iterator[Cell]:
    for groups, share, within in itertools.product((40, 150), SHARES, (0.3, 0.8)):
        held = plain = 0
        for _ in range(DRAWS):
            of_row = clusters(rng, groups)
            n = len(of_row)
            shared = (rng.random(groups) < share)[of_row]
            values = np.where(rng.random(n) < math.sqrt(within), shared, rng.random(n) < share)
            names, mean = [str(g) for g in of_row], float(values.mean())
            worth = effective_rows(values.astype(float).tolist(), names, CONFIDENCE)
            low, high = wilson(mean * worth, worth, CONFIDENCE)
            held += low <= share <= high
            low, high = wilson(mean * n, n, CONFIDENCE)
            plain += low <= share <= high
        where = f"{groups} clusters, p {share}, correlation within {within}"
        yield Cell("clustered", where, held / DRAWS)
        yield Cell("clusters ignored", where, plain / DRAWS)


def bootstrap_coverage(rng: np.random.Generator) -> Iterator[Cell]:
    for n in (50, 150):
        names, held, draws = [str(i) for i in range(n)], 0, DRAWS // 2
        for _ in range(draws):
            hard = rng.random(n)
            a = rng.binomial(4, 0.4 + 0.4 * hard) / 4
            b = rng.binomial(4, 0.5 + 0.4 * hard) / 4
            low, high = bootstrap_difference(a.tolist(), b.tolist(), names, CONFIDENCE)
            held += low <= 0.1 <= high
        yield Cell("bootstrap", f"n {n}, scores in quarters", held / draws)


def doubling_coverage(rng: np.random.Generator) -> Iterator[Cell]:
    """Of the gain, where failures fall by the law and rows are as hard for each point of the curve."""
    rows = np.array([25, 50, 100, 200])
    for n, exponent in itertools.product((150, 500), (0.0, 0.3, 0.6)):
        names, held, draws = [str(i) for i in range(n)], 0, DRAWS // 2
        failing = 0.4 * (rows / rows[0]) ** -exponent
        gain = failing[2] - failing[3]
        for _ in range(draws):
            hard = math.sqrt(0.6) * rng.normal(size=n) + math.sqrt(0.4) * rng.normal(size=(3, n))
            passes = hard > stats.norm.ppf(failing[:3, None])
            low, high = foresee_doubling(rows[:3].tolist(), passes.tolist(), names, CONFIDENCE).interval
            held += low <= gain <= high
        yield Cell("doubled", f"n {n}, failures 0.4, exponent {exponent}", held / draws)


def detection(rng: np.random.Generator) -> Iterator[Cell]:
    for n, discordance in itertools.product((130, 500), (0.1, 0.3)):
        least = detectable(n, discordance, CONFIDENCE)
        assert least is not None
        deck, ships = Deck(("base", "tuned"), n), 0
        chances = [(1 - discordance) / 2, (discordance - least) / 2, (discordance + least) / 2]
        for _ in range(DRAWS):
            kind = rng.choice(4, size=n, p=[*chances, (1 - discordance) / 2])
            passes = {"base": kind < 2, "tuned": (kind == 0) | (kind == 2)}
            ships += deck.gate(passes) == "ship"
        where = f"n {n}, disagreement {discordance}: {100 * least:.1f} points"
        yield Cell("detected", where, ships / DRAWS)


def measure() -> dict[str, object]:
    begun, rng = time.process_time(), np.random.default_rng(0)
    ships = list(false_ship(rng))
    covered = [*wilson_coverage(), *paired_coverage(rng), *clustered_coverage(rng), *bootstrap_coverage(rng)]
    detected = list(detection(rng))
    doubled = list(doubling_coverage(rng))
    counted = [cell for cell in covered if cell.what != "clusters ignored"]
    means = {
        what: float(np.mean([cell.value for cell in covered if cell.what == what]))
        for what in dict.fromkeys(cell.what for cell in covered)
    }
    worst = max(counted, key=lambda cell: abs(cell.value - CONFIDENCE))
    return {
        "false_ship_rate": max(cell.value for cell in ships),
        "coverage": float(np.mean([cell.value for cell in counted])),
        "coverage_by_method": means,
        "coverage_worst": worst._asdict(),
        "mde_error": max(abs(cell.value - POWER) for cell in detected),
        "cells": [cell._asdict() for cell in (*ships, *covered, *detected, *doubled)],
        "cpu_seconds": time.process_time() - begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    told = measure()
    if as_json:
        print(json.dumps(told, indent=2))
        return
    for cell in told.pop("cells"):  # type: ignore[attr-defined]
        print(f"{cell['what']:<18}{cell['where']:<48}{100 * cell['value']:6.1f} %")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
