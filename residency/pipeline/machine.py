"""What this machine is fastest at."""

from __future__ import annotations

from pathlib import Path

from residency.core.workspace import write_json
from residency.models.precision import best_device, measure_speed


def measure(folder: Path) -> None:
    """Write `speed.json`: matrix products a second in two number formats, and the format to use."""
    speed = measure_speed(best_device())
    faster = str(speed.faster).removeprefix("torch.")
    write_json(folder / "speed.json", {**speed._asdict(), "faster": faster})
