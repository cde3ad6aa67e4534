"""Intervals, tests and sample sizes; each names its source. docs/evidence.md measures them."""

from residency.evals.statistics.agreement import cohen_kappa, kappa_interval
from residency.evals.statistics.clusters import effective_rows, own_cluster_each
from residency.evals.statistics.intervals import Interval, rule_of_three, wilson
from residency.evals.statistics.means import bootstrap_difference
from residency.evals.statistics.multiple import holm
from residency.evals.statistics.pairs import Paired, Unpaired, paired, unpaired
from residency.evals.statistics.power_law import Doubling, foresee_doubling
from residency.evals.statistics.sample_size import (
    POWER,
    detectable,
    least_rows,
    power,
    rows_to_clear,
    rows_to_significance,
    rows_to_tell,
)
from residency.evals.statistics.seeds import SeedSpread, seed_spread

__all__ = [
    "POWER",
    "Doubling",
    "Interval",
    "Paired",
    "SeedSpread",
    "Unpaired",
    "bootstrap_difference",
    "cohen_kappa",
    "detectable",
    "effective_rows",
    "foresee_doubling",
    "holm",
    "kappa_interval",
    "least_rows",
    "own_cluster_each",
    "paired",
    "power",
    "rows_to_clear",
    "rows_to_significance",
    "rows_to_tell",
    "rule_of_three",
    "seed_spread",
    "unpaired",
    "wilson",
]
