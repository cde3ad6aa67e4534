"""Opening a tuned model, or a base, to talk to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from residency.candidates.prompted import Prompted
from residency.core.errors import ResidencyError
from residency.core.recipe import Base, Recipe
from residency.core.workspace import Workspace, read_json, reading
from residency.models.artifact import artifact_folder, base_of, load_artifact
from residency.models.language_model import LocalModel
from residency.models.load import load_base
from residency.models.precision import best_device, measure_speed


@dataclass(frozen=True)
class Talk:
    """Who answers: one voice, or base and tuned side by side."""

    title: str
    voices: tuple[Prompted, ...]
    max_new_tokens: int
    goes_on: bool
    """Whether the next line belongs to the same conversation."""


def open_talk(workspace: Workspace, name: str, compare: bool) -> Talk:
    """The run called `name`, or the base of that name.

    Raises:
        ResidencyError: there is neither; or the run has no tuned model yet.
    """
    try:
        run = workspace.run(name)
    except ResidencyError as not_a_run:
        if not name:
            raise
        return _open_base(name, not_a_run)
    return _open_run(workspace, run, compare)


def _open_run(workspace: Workspace, run: Path, compare: bool) -> Talk:
    with reading(run / "run.json"):
        content = read_json(run / "run.json")
    try:
        recipe = Recipe.model_validate(content["recipe"])
    except ValidationError:
        fix = "Run its recipe again with this version."
        raise ResidencyError("This run was made by another version.", run.name, fix) from None
    stage = content["stages"].get("train")
    artifact = artifact_folder(workspace.folder / "stages" / str(stage), recipe.train.method)
    if not artifact.is_dir():
        fix = "Finish it: run `residency run` with its recipe again."
        what = "This run's tuned model is gone." if stage else "This run has no tuned model yet."
        raise ResidencyError(what, f"{run.name}: {content['status']}", fix)
    loaded = load_artifact(recipe.base, artifact)
    tuned, system = loaded.answering(recipe.candidates.batch_size), loaded.card.system
    voices = [Prompted("tuned", tuned, system=system)]
    if compare:
        voices.insert(0, Prompted("base", base_of(recipe.base, loaded.card, tuned), system=system))
    return Talk(f"{run.name}, tuned", tuple(voices), recipe.task.max_new_tokens, recipe.task.kind == "chat")


def _open_base(name: str, not_a_run: ResidencyError) -> Talk:
    try:
        base = load_base(Base(model=name), measure_speed(best_device()).faster)
    except ResidencyError as not_a_base:
        raise ResidencyError(
            f"'{name}' is neither a run of this workspace nor a base.",
            f"{not_a_run.where}; {not_a_base.where}",
            f"{not_a_run.fix} {not_a_base.fix}",
        ) from None
    return Talk(f"{name}, untuned", (Prompted(name, LocalModel(base.model, base.renderer, 1)),), 256, True)
