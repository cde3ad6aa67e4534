"""A training's forecast against the training: memory and time.

`residency plan` and then `residency train`, each in a process of its own and in a workspace of its own, on
the tickets cut short. Run it on a machine that does nothing else.

    python benchmarks/plan.py [--epochs 0.6] [--set train.gradient_checkpointing=on] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

RECIPE = Path(__file__).parent.parent / "recipes" / "tickets" / "residency.toml"


def residency(verb: str, overrides: list[str], home: str) -> dict:
    options = [part for override in overrides for part in ("--set", override)]
    done = subprocess.run(
        [sys.executable, "-m", "residency", verb, str(RECIPE), "--json", *options],
        env={**os.environ, "RESIDENCY_HOME": home},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def measure(overrides: list[str]) -> dict[str, dict[str, float]]:
    with TemporaryDirectory() as home:
        plan, training = (residency(verb, overrides, home) for verb in ("plan", "train"))
    seconds = plan["seconds"]
    pairs = {
        "peak_memory_gib": (plan["memory"]["peak_gib"], training["peak_memory_gib"]),
        "seconds": (seconds["steps"] + seconds["validation"], training["seconds"]),
    }
    return {
        name: {"forecast": told, "measured": came, "ratio": told / came}
        for name, (told, came) in pairs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=float, default=0.6)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure([f"train.epochs={options.epochs}", *options.set])
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, figures in result.items():
        print(f"{name:>16}  " + "  ".join(f"{key} {value:.3g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
