"""SIGKILL at any instant, checkpoints half written among them, and training goes on to the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]

# The program imports torch once and forks. A child counts what Python does to files below its folder
# (opening, making, renaming, removing) and the steps begun, and is killed at the moment asked for.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from residency.core.progress import Silent
from residency.training.loop import Trainer
from tests.training.test_loop import trainer

class Clock:
    def __init__(self, folder, kill_at):
        self.folder, self.kill_at, self.now = str(folder), kill_at, 0
    def tick(self):
        if self.now == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.now += 1
    def hear(self, event, arguments):
        if event.split(".")[0] in ("open", "os", "shutil") and any(self.folder in str(a) for a in arguments):
            self.tick()

def run(folder, kill_at):
    clock = Clock(folder, kill_at)
    sys.addaudithook(clock.hear)
    class Steps(Trainer):
        def step(self, number):
            clock.tick()
            return super().step(number)
    made = trainer(folder)
    made.__class__ = Steps
    made.run(Silent())
    return clock.now

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
reader, writer = os.pipe()
if not os.fork():
    os.write(writer, str(run(folder / "whole", -1)).encode())
    os._exit(0)
os.wait()
moments = int(os.read(reader, 20))
for number in range(kills):
    for kill_at in (moments * (2 * number + 1) // (2 * kills), -1):
        if not os.fork():
            run(folder / f"broken-{number}", kill_at)
            os._exit(0)
        status = os.wait()[1]
        assert os.waitstatus_to_exitcode(status) == (0 if kill_at < 0 else -signal.SIGKILL), status
print(moments)
"""


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "step-00000009" / "weights.safetensors")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_any_instant_and_resumed_equals_unbroken(tmp_path):
    kills = 12
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(kills)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5 * kills
    expected = last_weights(tmp_path / "whole")
    for number in range(kills):
        resumed = last_weights(tmp_path / f"broken-{number}")
        assert resumed.keys() == expected.keys()
        assert all(torch.equal(resumed[name], expected[name]) for name in expected), number
        names = {path.name for path in (tmp_path / f"broken-{number}").iterdir()}
        assert names == {path.name for path in (tmp_path / "whole").iterdir()}
