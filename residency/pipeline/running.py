"""What every stage of a run needs: the run's folder and state, the machine, and being built only once."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from residency.core.errors import ResidencyError
from residency.core.processes import is_main, process_count
from residency.core.progress import Reporter, duration
from residency.core.recipe import Recipe
from residency.core.workspace import Workspace, read_json, reading, unwritable, write_json
from residency.evals.scorers import scorer_of
from residency.pipeline.inputs import Inputs, Machine
from residency.pipeline.needs import require_known

if TYPE_CHECKING:
    from residency.evals.scorers.account import Account
    from residency.training.distribution import Alone


class Running:
    """One run of a recipe in a workspace: its name, folder and machine, and how a stage is built once."""

    def __init__(self, recipe: Recipe, workspace: Workspace, report: Reporter) -> None:
        """Set up; nothing is computed yet.

        Raises:
            ResidencyError: the recipe names a scorer or an objective that there is not, or a method
                whose software is not installed; or the judge's rubric says nothing.
        """
        require_known(recipe)
        self.recipe, self.workspace, self.report = recipe, workspace, report
        self._judge = scorer_of(recipe).judge
        if self._judge is not None:
            from residency.evals.scorers.account import open_account

            open_account(self._judge)
        self.inputs = Inputs(recipe, workspace)

    @cached_property
    def processes(self) -> Alone:
        """The processes that torchrun started."""
        from residency.training.distribution import connect

        return connect()

    @cached_property
    def name(self) -> str:
        """The run's name."""
        return self.inputs.run_name()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.workspace.runs / self.name

    @cached_property
    def machine(self) -> Machine:
        """Device and number format; measured once a machine and kept, so that all stages agree."""
        from residency.models.precision import best_device, device_name, measure_speed

        device = best_device()
        if self.recipe.base.dtype != "auto":
            return Machine(device_name(device), self.recipe.base.dtype)

        def build(folder: Path) -> None:
            speed = measure_speed(device)
            faster = str(speed.faster).removeprefix("torch.")
            write_json(folder / "speed.json", {**speed._asdict(), "faster": faster})

        known = {
            "node": platform.node(),
            "device": device_name(device),
            **{name: self.inputs.software[name] for name in ("residency", "torch")},
        }
        folder, _ = self._once("machine", known, build)
        speed = read_json(folder / "speed.json")
        figures = f"bfloat16 {speed['bfloat16']:.0f}, float32 {speed['float32']:.0f} GFLOP/s measured"
        self.report.say(f"  precision: {speed['faster']} ({figures})")
        return Machine(known["device"], speed["faster"])

    @property
    def dtype(self) -> str:
        """The number format of the base's weights."""
        return self.machine.dtype

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Keep `run.json` true: a run is called done only when its verdict is written."""
        if not self._is_done():
            self._note("running", {})
        account = self._account
        try:
            if account:
                account.count(self.folder)
            yield
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            with suppress(ResidencyError):  # the disk may be full, and the first error is the one to tell
                if not self._is_done():
                    self._note("interrupted" if stopped else "failed", {}, "" if stopped else str(error))
                    if account and is_main():
                        account.keep(self.folder)
            raise

    def _is_done(self) -> bool:
        """Whether the run had its verdict before: what happens to a later call changes nothing of it."""
        file = self.folder / "run.json"
        with reading(file):
            return file.is_file() and read_json(file)["status"] == "done"

    def _note(self, status: str, stages: Mapping[str, str], error: str = "") -> None:
        if not is_main():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise unwritable(self.folder, problem) from problem
        file = self.folder / "run.json"
        before: dict[str, Any] = read_json(file) if file.is_file() else {}
        if before.get("status") == "done" and status.startswith("stopped"):
            return
        write_json(
            file,
            {
                "run": self.name,
                "status": status,
                "error": error,
                "created": before.get("created") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "task": self.recipe.task.name,
                "recipe": self.recipe.to_json(),
                "stages": {**before.get("stages", {}), **stages},
            },
        )

    def _stage(
        self, name: str, inputs: Mapping[str, Any], build: Callable[[Path], None], *, resumable: bool = False
    ) -> Path:
        begun = time.perf_counter()
        self.report.say(name)
        folder, before = self._once(name, inputs, build, resumable)
        took = "finished before, not repeated" if before else duration(time.perf_counter() - begun)
        self.report.say(f"  {took}")
        return folder

    def _training(self, name: str, inputs: Mapping[str, Any], train: Callable[[Path], None]) -> Path:
        """A stage in which all processes take part, and which goes on from its last checkpoint."""

        def build(folder: Path) -> None:
            if is_main() and process_count() > 1 and not (folder / "training.json").is_file():
                self.processes.tell(str(folder))
            train(folder)

        return self._stage(name, inputs, build, resumable=True)

    def _once(
        self, name: str, inputs: Mapping[str, Any], build: Callable[[Path], None], resumable: bool = False
    ) -> tuple[Path, bool]:
        """Under torchrun the main process builds; the others help where told to, and find it finished."""
        if not is_main():
            while folder := self.processes.tell(None):
                build(Path(folder))
        account = self._account

        def noted(folder: Path) -> None:
            with account.noting(folder) if account else nullcontext():
                build(folder)

        stage = self.workspace.stage(name, inputs, noted, resumable=resumable)
        if account:
            account.count(stage[0])
        if is_main() and process_count() > 1:
            self.processes.tell(None)
        return stage

    @property
    def _account(self) -> Account | None:
        """What is asked of the judge in this run; none where none grades."""
        if self._judge is None:
            return None
        from residency.evals.scorers.account import account_of

        return account_of(self._judge)
