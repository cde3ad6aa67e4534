"""The stages in order: each builds its folder once for its inputs, and asks for the stages before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from residency.core.errors import UnfitData
from residency.core.processes import is_main
from residency.core.progress import Reporter
from residency.core.recipe import Recipe
from residency.core.workspace import Workspace
from residency.pipeline.needs import require_one_process
from residency.pipeline.running import Running

if TYPE_CHECKING:
    from residency.data.check import Examination
    from residency.data.split.freeze import Frozen
    from residency.pipeline.plan import Forecast


class Workflow(Running):
    """One run of a recipe, stage by stage."""

    def __init__(self, recipe: Recipe, workspace: Workspace, report: Reporter) -> None:
        """Set up; nothing is computed yet.

        Raises:
            ResidencyError: as `Running` raises it.
        """
        super().__init__(recipe, workspace, report)
        self._examined: Examination | None = None
        self._split: Frozen | None = None

    @cached_property
    def checked(self) -> Path:
        """Stage 1: read and examine the rows."""

        def build(folder: Path) -> None:
            from residency.pipeline.prepare import check

            self._examined = check(self.recipe, folder)

        return self._stage("check", self.inputs.check(), build)

    @cached_property
    def frozen(self) -> Path:
        """Stage 2: hold out test and validation.

        Raises:
            UnfitData: training refuses these rows.
        """
        from residency.data.check import Examination
        from residency.pipeline.prepare import freeze_rows, require_trainable

        checked = self.checked
        require_trainable(checked)

        def build(folder: Path) -> None:
            if lock.news:
                self.report.say(f"  {lock.news}")
            examination = self._examined or Examination.read(checked, folder)
            self._split = freeze_rows(self.recipe, examination, lock, folder)

        lock = self.inputs.lock
        if not is_main():
            return self._stage("freeze", self.inputs.freeze(), build)
        with lock.held():
            folder = self._stage("freeze", self.inputs.freeze(), build)
            lock.add(folder)
        return folder

    @cached_property
    def answered(self) -> Path:
        """Stage 3: the base and the prompted baselines answer the test."""
        frozen, dtype = self.frozen, self.dtype
        self._examined = self._split = None  # later stages need the memory
        instructions = self.inputs.instructions

        def build(folder: Path) -> None:
            from residency.pipeline.ask import ask_baselines
            from residency.pipeline.project import is_template

            if is_template(instructions):
                self.report.say("  the instructions are still to be written: the prompted baselines suffer")
            ask_baselines(self.recipe, instructions, dtype, frozen, folder, self.report)

        return self._stage("baselines", self.inputs.baselines(self.machine), build)

    @cached_property
    def asked_remote(self) -> dict[str, Path]:
        """Stage 3, elsewhere: models behind an API answer the test; none where the recipe names none."""
        if not self.recipe.candidates.remote:
            return {}
        frozen, instructions = self.frozen, self.inputs.instructions

        def build(folder: Path) -> None:
            from residency.pipeline.ask import ask_remote

            ask_remote(self.recipe, instructions, frozen, folder, self.report)

        return {"remote": self._stage("remote", self.inputs.remote(self.machine), build)}

    @property
    def prompted(self) -> dict[str, Path]:
        """All of stage 3; a key that is missing is told before the base is asked."""
        remote = self.asked_remote
        return {"baselines": self.answered, **remote}

    @cached_property
    def paraphrased(self) -> dict[str, Path]:
        """Stage 5, made ready: a model behind an API words training rows anew; none where none is to."""
        if self.recipe.verdict.paraphraser is None:
            return {}
        frozen, asked, instructions = self.frozen, self.asked_remote["remote"], self.inputs.instructions

        def build(folder: Path) -> None:
            from residency.pipeline.paraphrasing import paraphrase

            paraphrase(self.recipe, instructions, (frozen, asked), folder, self.report)

        return {"paraphrases": self._stage("paraphrases", self.inputs.paraphrasing(), build)}

    @cached_property
    def worded(self) -> Recipe:
        """The recipe with the paraphrases that a model made, as if the user had given them."""
        if not self.paraphrased:
            return self.recipe
        from residency.pipeline.paraphrasing import with_paraphrases

        return with_paraphrases(self.recipe, self.paraphrased["paraphrases"])

    @cached_property
    def trained(self) -> Path:
        """Stage 4: tune, or sweep; an interrupted one is taken up at its last checkpoint."""
        frozen, dtype = self.frozen, self.dtype

        def build(folder: Path) -> None:
            from residency.pipeline.sweep import sweep
            from residency.pipeline.tune import tune

            train = sweep if self.recipe.sweep.varied else tune
            train(self.recipe, dtype, frozen, folder, self.report)

        return self._training("train", self.inputs.train(self.machine), build)

    @cached_property
    def recalled(self) -> Path:
        """Stage 5, the base: what it knew of the rows before, so that only what was learned counts."""
        frozen, dtype, recipe = self.frozen, self.dtype, self.worded

        def build(folder: Path) -> None:
            from residency.pipeline.ask import ask_base

            ask_base(recipe, dtype, frozen, folder, self.report)

        return self._stage("recall", self.inputs.recall(self.machine), build)

    @cached_property
    def compared(self) -> Path:
        """Stage 5: the tuned model answers the test, and what tells memorising from understanding."""
        frozen, trained, recipe = self.frozen, self.trained, self.worded

        def build(folder: Path) -> None:
            from residency.pipeline.ask import ask_tuned

            ask_tuned(recipe, frozen, trained, folder, self.report)

        return self._stage("compare", self.inputs.compare(self.machine), build)

    @cached_property
    def traced(self) -> Path:
        """Stage 5, failures: each with the training rows that explain it."""
        stages = self.frozen, self.trained, self.compared

        def build(folder: Path) -> None:
            from residency.pipeline.trace import trace_failures

            trace_failures(self.recipe, *stages, folder, self.report)

        return self._stage("trace", self.inputs.trace(self.machine), build)

    @cached_property
    def blamed(self) -> Path:
        """After a run: the tuned model on all validation rows, and the training rows that misled it there."""
        stages = self.frozen, self.trained, self.compared

        def build(folder: Path) -> None:
            from residency.pipeline.blame import blame

            blame(self.recipe, *stages, folder, self.report)

        return self._stage("blame", self.inputs.blame(self.machine), build)

    @cached_property
    def suites(self) -> dict[str, Path]:
        """Stage 5, elsewhere: the base and the tuned model are asked the suites."""
        if not self.recipe.regression.suites:
            return {}
        trained, dtype = self.trained, self.dtype

        def build_base(folder: Path) -> None:
            from residency.pipeline.regression import ask_base

            ask_base(self.recipe, dtype, folder, self.report)

        def build_tuned(folder: Path) -> None:
            from residency.pipeline.regression import ask_tuned

            ask_tuned(self.recipe, trained, folder, self.report)

        return {
            "suites-base": self._stage("suites-base", self.inputs.base_suites(self.machine), build_base),
            "suites-tuned": self._stage("suites-tuned", self.inputs.tuned_suites(self.machine), build_tuned),
        }

    @cached_property
    def parts(self) -> dict[str, Path]:
        """Stage 5, the learning curve: the tuned method on parts of the rows, each asked the test."""
        if not self.recipe.verdict.learning_curve:
            return {}
        from residency.pipeline.learning_curve import PERCENTS

        return {name: folder for percent in PERCENTS for name, folder in self._part(percent).items()}

    def _part(self, percent: int) -> dict[str, Path]:
        frozen, trained, dtype, machine = self.frozen, self.trained, self.dtype, self.machine

        def train(folder: Path) -> None:
            from residency.pipeline.learning_curve import as_tuned, share_of
            from residency.pipeline.tune import tune

            part = share_of(percent, self.recipe, trained)
            tune(as_tuned(self.recipe, trained), dtype, frozen, folder, self.report, part)

        def ask(folder: Path) -> None:
            from residency.pipeline.ask import ask_part

            ask_part(self.recipe, frozen, part, percent, folder, self.report)

        part = self._training(f"part-{percent}", self.inputs.part(machine, percent), train)
        asked = self._stage(f"asked-{percent}", self.inputs.asked_part(machine, percent), ask)
        return {f"part-{percent}": part, f"asked-{percent}": asked}

    def conclude(self) -> Path:
        """Stage 6: the verdict; writes the report, scored.jsonl, causes.jsonl and ledger.jsonl of the run."""
        from residency.pipeline.conclude import conclude

        with self._running():
            stages = {
                "check": self.checked,
                "freeze": self.frozen,
                **self.prompted,
                **self.paraphrased,
                "train": self.trained,
                "compare": self.compared,
                "recall": self.recalled,
                "trace": self.traced,
                **self.suites,
                **self.parts,
            }
            if is_main():
                conclude(self.folder, self.inputs, self.dtype, stages)
            self._note("done", {name: folder.name for name, folder in stages.items()})
        return self.folder

    def examine(self) -> Path:
        """Stages 1 and 2, and their findings told; what training would refuse is one of the findings."""
        from residency.data.check import Examination
        from residency.data.split.freeze import Frozen
        from residency.pipeline.findings import tell_findings

        with self._running():
            stages, refusal = {"check": self.checked}, None
            try:
                stages = {"freeze": self.frozen}
            except UnfitData as error:
                refusal = error

            def build(folder: Path) -> None:
                examination = self._examined or Examination.read(self.checked, folder)
                split = self._split
                if split is None and "freeze" in stages:
                    split = Frozen.read(stages["freeze"])
                tell_findings(self.inputs, examination, split or refusal, stages.get("freeze"), folder)

            folder = self._stage("findings", self.inputs.findings(str(refusal or "")), build)
            self._note("stopped after check", {name: path.name for name, path in stages.items()})
        return folder

    def upto(self, stage: str) -> list[Path]:
        """Run all stages through `stage`, one of `check`, `baselines`, `train`; the stage's folders."""
        ways: Mapping[str, Callable[[], dict[str, Path]]] = {
            "check": lambda: {"freeze": self.frozen},
            "baselines": lambda: self.prompted,
            "train": lambda: {"train": self.trained},
        }
        with self._running():
            folders = ways[stage]()
            self._note(f"stopped after {stage}", {name: folder.name for name, folder in folders.items()})
        return list(folders.values())

    def forecast(self) -> Forecast:
        """Memory and time of stage 4, measured anew each time: the machine may be doing other things."""
        from residency.pipeline.forecast import forecast

        require_one_process("A plan is made by one process.", "plan", "Run it without torchrun.")
        (frozen,) = self.upto("check")
        return forecast(self.recipe, self.dtype, frozen, self.workspace.folder, self.report)
