"""What each stage depends on, as hashes: equal inputs, equal stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from residency import __version__
from residency.candidates.documents import document_files
from residency.core.errors import ResidencyError
from residency.core.hub_name import on_hub
from residency.core.recipe import Recipe, Section
from residency.core.records import fingerprint
from residency.core.workspace import Workspace
from residency.data.mending.patch import first_of
from residency.data.reading.read import shown_name
from residency.data.reading.sources import naming_roots, replay_file, source_hash, sources_of
from residency.data.split.lock import Lock
from residency.evals.scorers import scorer_of
from residency.evals.suites.load import suite_file
from residency.models.embedding import is_installed
from residency.models.source import base_fingerprint, locate
from residency.verdict.unlearned import ASKED, SCREENED


def _unreadable(file: Path, error: OSError) -> ResidencyError:
    what = f"The file cannot be read: {error.strerror}."
    return ResidencyError(what, str(file), "Correct the path or the file's rights.")


def _content(setting: Any) -> Any:
    """A setting of the scorer as its stages depend on it; a judge's prices decide on none of its grades."""
    if isinstance(setting, Path):
        return source_hash(setting)
    if isinstance(setting, Section):
        return {key: _content(value) for key, value in setting if key not in _HOW_ASKED | _PAID}
    return setting


_HOW_ASKED = {"concurrency", "key_env", "retries", "timeout"}
"""How an endpoint is asked, which decides nothing about its answers."""
_PAID = {"max_cost", "price_in", "price_out"}
"""What a judge's replies cost. Where its cap is reached no stage is finished."""


class Machine(NamedTuple):
    """What models run on: the device's name, and the number format of a base's weights."""

    device: str
    dtype: str


@dataclass(frozen=True)
class Inputs:
    """The recipe with its files and base, hashed stage by stage; each stage's inputs hold the earlier's."""

    recipe: Recipe
    workspace: Workspace

    @cached_property
    def files(self) -> dict[str, Path]:
        """Where the rows come from, by role."""
        return sources_of(self.recipe.data)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of what the rows are read from, by role."""
        return {role: source_hash(source) for role, source in self.files.items()}

    @cached_property
    def names(self) -> dict[str, str]:
        """What the ledger calls each file or folder, by role: no two alike."""
        roots = naming_roots(self.files)
        return {role: shown_name(source, roots[role]) for role, source in self.files.items()}

    @cached_property
    def instructions(self) -> str:
        """The full instructions; empty where the recipe names none."""
        file = self.recipe.task.instructions
        if file is None:
            return ""
        try:
            text = file.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError:
            raise ResidencyError(
                "The instructions are not UTF-8 text.", str(file), "Save them as UTF-8."
            ) from None
        except OSError as error:
            raise _unreadable(file, error) from None
        if not text:
            fix = "Write down how the task is done, or take the key task.instructions out of the recipe."
            raise ResidencyError("The instructions are empty.", str(file), fix)
        return text

    @cached_property
    def scoring(self) -> dict[str, Any]:
        """The scorer with the settings it reads; files by their hashes, wherever they are."""
        scorer = scorer_of(self.recipe)
        file, colon, function = scorer.name.rpartition(":")
        return {
            "scorer": [function, source_hash(Path(file))] if colon else scorer.name,
            **{key: _content(value) for key, value in scorer.settings.items()},
        }

    @cached_property
    def constraint(self) -> list[str]:
        """To what answers are held; a schema by its hash, and by whose work."""
        task = self.recipe.task
        schema = [source_hash(task.schema_file), version("llguidance")] if task.schema_file else []
        return [task.constrain, *schema]

    @cached_property
    def software(self) -> dict[str, str]:
        """Versions of what decides on tokens and weights: another one starts stages anew."""
        names = ("torch", "transformers", "tokenizers", "peft")
        return {"residency": __version__, **{name: version(name) for name in names}}

    @cached_property
    def base(self) -> str:
        """Fingerprint of the base, tokenizer and template included."""
        return base_fingerprint(locate(self.recipe.base))

    def rows(self) -> dict[str, Any]:
        """Files, how they are read and what renders them: all that decides which rows are usable."""
        told = {"train", "validation", "test", "label_errors", "max_refused"}
        settings = self.recipe.data.model_dump(mode="json", exclude=told)
        system = self.recipe.task.system
        return {
            "software": self.software,
            "files": {role: [self.names[role], self.hashes[role]] for role in self.files},
            "data": settings,
            "system": system,
            "base": self.base,
            "group": self.recipe.split.group,
        }

    def check(self) -> dict[str, Any]:
        """The rows, what is looked for in them, what must be able to score them, and the room for answers."""
        return {
            **self.rows(),
            **self.sought,
            "max_refused": self.recipe.data.max_refused,
            **self.scoring,
            "max_new_tokens": self.recipe.task.max_new_tokens,
        }

    @property
    def sought(self) -> dict[str, Any]:
        """What decides on findings and on no row: label errors, and whether they are sought by meaning."""
        label_errors = self.recipe.data.label_errors
        return {"label_errors": label_errors, "encoder": label_errors == "auto" and is_installed()}

    @cached_property
    def lock(self) -> Lock:
        """The lock of the split: one a task, a project and the settings of the draw."""
        split = self.recipe.split.model_dump(mode="json", exclude={"allow_overlap", "drop_twins"})
        settings = fingerprint([split, sorted(self.files)], length=6)
        project = fingerprint(self._project, length=6)
        folder = self.workspace.splits / f"{self.recipe.task.name}-{project}-{settings}"
        return Lock(folder, fingerprint(self.rows()))

    @property
    def _project(self) -> str:
        """Where the training rows are: their file's place as seen from the workspace, without its endings.

        So the project may be moved as a whole, and `rows.fixed.jsonl` goes on with the lock of `rows.csv`;
        a mended file with that of the data that its patch names, whatever it is called.
        """
        train = first_of(self.recipe.data.train)
        if on_hub(train):
            return str(train)
        place, home = train.resolve(), self.workspace.folder.resolve().parent
        place = place.with_name(place.name.partition(".")[0] or place.name)
        return str(place.relative_to(home) if place.is_relative_to(home) else place)

    def sides(self) -> dict[str, Any]:
        """The rows, the split and its lock; another scorer trains on, and asks, the same rows."""
        split = self.recipe.split.model_dump(mode="json", exclude={"allow_overlap"})
        return {"rows": self.lock.rows, "split": split, "lock": self.lock.before}

    def freeze(self) -> dict[str, Any]:
        """The sides, and the findings that stand in their ledger."""
        overlap = self.recipe.split.allow_overlap
        return {"sides": fingerprint(self.sides()), "allow_overlap": overlap, **self.sought}

    def findings(self, refusal: str) -> dict[str, Any]:
        """All that the check looks at, and why training refuses it, if it does."""
        check, freeze = fingerprint(self.check()), fingerprint(self.freeze())
        return {"check": check, "freeze": freeze, "refusal": refusal}

    def asked(self, machine: Machine) -> dict[str, Any]:
        """The frozen rows, how they are asked and scored, and on what."""
        task = self.recipe.task.model_dump(mode="json", include={"system", "max_new_tokens"})
        how = {**task, **self.scoring, "constraint": self.constraint}
        return {"sides": fingerprint(self.sides()), "task": how, **machine._asdict()}

    def baselines(self, machine: Machine) -> dict[str, Any]:
        """What is asked of the base, under which instructions."""
        exclude = {"documents", "remote", "tuned_retrieval"}
        candidates = self.recipe.candidates.model_dump(mode="json", exclude=exclude)
        return {
            **self.asked(machine),
            "instructions": self.instructions,
            "candidates": candidates,
            "documents": self.documents,
        }

    def remote(self, machine: Machine) -> dict[str, Any]:
        """What is asked of models behind an API; the prices decide only where the cap is reached."""
        remote = [one.model_dump(mode="json", exclude=_HOW_ASKED) for one in self.recipe.candidates.remote]
        return {**self.baselines(machine), "remote": remote}

    @property
    def method_software(self) -> dict[str, str]:
        """Versions that decide on what is trained and on nothing before."""
        return {"bitsandbytes": version("bitsandbytes")} if self.recipe.train.method == "qlora" else {}

    def train(self, machine: Machine) -> dict[str, Any]:
        """The frozen rows and how they are trained on.

        Gradient checkpointing and the size of micro-batches are no part of it: the gradients are the
        same but for rounding, and a training that ran out of memory goes on with less from its last
        checkpoint. Nor is how often checkpoints are written, and on how many processes it trains.
        """
        how = {"replay_file", "checkpoint_minutes", "distribution", "gradient_checkpointing", "micro_tokens"}
        settings = self.recipe.train.model_dump(mode="json", exclude=how)
        room = self.recipe.task.max_new_tokens
        watched = {**self.scoring, "constraint": self.constraint, "max_new_tokens": room}
        return {
            "software": self.method_software,
            "sides": fingerprint(self.sides()),
            "train": settings,
            "sweep": self.recipe.sweep.model_dump(mode="json") if self.recipe.sweep.varied else None,
            **({"replay": self.replay, "suites": self.suites} if self.recipe.train.replay else {}),
            **(watched if self.recipe.train.watch == "score" else {}),
            **machine._asdict(),
        }

    @cached_property
    def paraphrases(self) -> str:
        """SHA-256 of the file of paraphrases; empty where there is none."""
        file = self.recipe.verdict.paraphrases
        return "" if file is None else source_hash(file)

    def paraphrasing(self) -> dict[str, Any]:
        """The rows that a model words anew, which model, and what it is told as its paraphrases are checked.

        What its candidates have spent of its cap is no part of it: with more room, `max_cost` is raised.
        """
        task = self.recipe.task.model_dump(mode="json", include={"system", "max_new_tokens"})
        remote = self.recipe.paraphraser
        return {
            "freeze": fingerprint(self.freeze()),
            "train_sample": self.recipe.verdict.train_sample,
            "task": {**task, **self.scoring, "instructions": self.instructions},
            "remote": remote and remote.model_dump(mode="json", exclude=_HOW_ASKED),
        }

    def recall(self, machine: Machine) -> dict[str, Any]:
        """What is asked of the base on rows seen and unseen, whatever is trained on them."""
        made = fingerprint(self.paraphrasing()) if self.recipe.paraphraser else ""
        return {
            **self.asked(machine),
            "train_sample": self.recipe.verdict.train_sample,
            "paraphrases": made or self.paraphrases,
            "batch_size": self.recipe.candidates.batch_size,
        }

    def compare(self, machine: Machine) -> dict[str, Any]:
        """The tuned model and what is asked of it."""
        return {
            **self.recall(machine),
            "train": fingerprint(self.train(machine)),
            **(self._retrieval if self.recipe.candidates.tuned_retrieval else {}),
        }

    def trace(self, machine: Machine) -> dict[str, Any]:
        """The tuned model's failures, and how rows like them are found."""
        compare, tracing = fingerprint(self.compare(machine)), self.recipe.verdict.tracing
        asked = {"tracing": tracing} if tracing == "gradients" else {}
        rules = ["label", "field", "closest pair"]  # by which a near row teaches the wrong answer given
        similarity = self.recipe.candidates.similarity
        return {"compare": compare, "similarity": similarity, "teaching": rules, **asked}

    def blame(self, machine: Machine) -> dict[str, Any]:
        """The tuned model's failures, what the checks found of the training rows, and how many are asked."""
        looked_at = {"screened": SCREENED, "asked": ASKED}
        return {**self.trace(machine), "freeze": fingerprint(self.freeze()), "unlearned": looked_at}

    def part(self, machine: Machine, percent: int) -> dict[str, Any]:
        """A part of the training rows, and how they are trained on: as the run's own model was."""
        return {"train": fingerprint(self.train(machine)), "percent": percent}

    def asked_part(self, machine: Machine, percent: int) -> dict[str, Any]:
        """The model tuned on that part, and the test that it is asked."""
        batch_size = self.recipe.candidates.batch_size
        part = fingerprint(self.part(machine, percent))
        return {**self.asked(machine), "batch_size": batch_size, "part": part}

    @property
    def _retrieval(self) -> dict[str, Any]:
        """What the tuned model is shown beside the input."""
        keys = {"retrieved", "similarity", "passages"}
        return {**self.recipe.candidates.model_dump(mode="json", include=keys), "documents": self.documents}

    @cached_property
    def documents(self) -> dict[str, str]:
        """SHA-256 of each document, by its name in its folder; empty where the recipe names no folder."""
        folder = self.recipe.candidates.documents
        if folder is None:
            return {}
        return {file.relative_to(folder).as_posix(): source_hash(file) for file in document_files(folder)}

    @cached_property
    def replay(self) -> str:
        """SHA-256 of the general rows that are mixed into training; empty where none are."""
        return source_hash(replay_file(self.recipe.train)) if self.recipe.train.replay else ""

    @cached_property
    def suites(self) -> dict[str, str]:
        """SHA-256 of each suite's file, by its name."""
        files = map(suite_file, self.recipe.regression.suites)
        return {file.stem: source_hash(file) for file in files}

    def base_suites(self, machine: Machine) -> dict[str, Any]:
        """What is asked of the base beside the task: the same for every project on it."""
        return {
            "software": self.software,
            "base": self.base,
            "suites": self.suites,
            "items": self.recipe.regression.items,
            "batch_size": self.recipe.candidates.batch_size,
            **machine._asdict(),
        }

    def tuned_suites(self, machine: Machine) -> dict[str, Any]:
        """The same, asked of the tuned model."""
        return {**self.base_suites(machine), "train": fingerprint(self.train(machine))}

    def run_name(self) -> str:
        """`<task>-<hash>`: the same recipe on the same files is the same run."""
        settings = self.recipe.model_dump(
            mode="json",
            exclude={
                "base": {"model", "revision"},
                "candidates": {"documents": True, "remote": {"__all__": _HOW_ASKED}},
                "data": {"train", "validation", "test"},
                "task": {"instructions", "schema_file", "scorer"},
                "scoring": True,
                "judge": True,
                "train": {"replay_file"},
                "regression": {"suites"},
                "verdict": {"paraphrases"},
            },
        )
        software = {**self.software, **self.method_software}
        parts = [
            software,
            settings,
            self.scoring,
            self.constraint,
            self.hashes,
            self.suites,
            self.documents,
            self.paraphrases,
            self.replay,
            self.instructions,
            self.base,
        ]
        return f"{self.recipe.task.name}-{fingerprint(parts, length=6)}"
