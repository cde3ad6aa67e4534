"""The benchmark that calibrates the verdict goes through the verdict as it is."""

import runpy
from pathlib import Path

import numpy as np

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "evidence.py"


def test_the_simulated_rows_pass_through_the_real_verdict():
    deck = runpy.run_path(str(BENCHMARK))["Deck"](["base", "tuned"], 40)
    none, half, every = np.zeros(40, bool), np.arange(40) % 2 == 0, np.ones(40, bool)
    assert deck.gate({"base": none, "tuned": every}) == "ship"
    assert deck.gate({"base": every, "tuned": none}) == "do not ship"
    assert deck.gate({"base": half, "tuned": half}) != "ship"
