"""Time and memory of `residency check`, all of it but the cross-validated check of labels, by rows.

Files of generated rows, some 20 to 40 words each with a label, of which one in fifty repeats an earlier row,
one in fifty nearly does, and one in two hundred is broken. Each is checked in a process of its own and in a
workspace of its own; memory is the sum over that process and those that it starts. Run it on a machine
that does nothing else.

    python benchmarks/data.py [--rows 10000 100000 1000000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

RECIPE = """
[data]
label_errors = "off"
train = "rows.jsonl"
[task]
kind = "classify"
system = "Name the team."
scorer = "label"
max_new_tokens = 16
"""
SYLLABLES = [first + vowel for first in "bdfghklmnprstvw" for vowel in "aeiou"]


def vocabulary(draw: random.Random, size: int = 20_000) -> list[str]:
    return ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(size)]


def generate(rows: int, seed: int = 0) -> Iterator[str]:
    draw = random.Random(seed)
    words = vocabulary(draw)
    weights = [1 / rank for rank in range(1, len(words) + 1)]  # as words of a language (Zipf)
    cumulated = list(accumulate(weights))
    earlier: list[tuple[list[str], str]] = []
    for _ in range(rows):
        kind = draw.random()
        if kind < 0.005:
            yield '{"input": "cut off'
            continue
        if kind < 0.045 and earlier:
            asked, label = draw.choice(earlier)
            if kind < 0.025:
                place = draw.randrange(len(asked))
                asked = [*asked[:place], draw.choice(words), *asked[place + 1 :]]
        else:
            asked = draw.choices(words, cum_weights=cumulated, k=draw.randint(20, 40))
            label = f"team {draw.randrange(50)}"
            if len(earlier) < 100_000:
                earlier.append((asked, label))
        yield json.dumps({"input": " ".join(asked).capitalize() + ".", "output": label})


def measure(rows: int) -> dict[str, float]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "residency.toml").write_text(RECIPE)
        with (folder / "rows.jsonl").open("w") as out:
            out.writelines(line + "\n" for line in generate(rows))
        here = {"RESIDENCY_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parent.parent)}
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "residency", "check", "residency.toml", "--json"],
            cwd=folder,
            env={**os.environ, **here},
            stdout=subprocess.DEVNULL,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - begun
        if process.returncode:
            raise SystemExit(process.returncode)
    return {"rows": rows, "seconds": round(seconds, 2), "peak_rss_gib": round(peak / 2**30, 3)}


def memory(pid: int) -> int:
    try:
        first = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (first, *first.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for rows in options.rows:
        results.append(measure(rows))
        if not options.json:
            print("  ".join(f"{key} {value:,}" for key, value in results[-1].items()), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
