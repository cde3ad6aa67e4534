"""What a recipe needs beside its files, looked up before any work is done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from residency.core.errors import ResidencyError, SeveralErrors
from residency.core.processes import process_count
from residency.core.recipe import Recipe
from residency.evals.scorers import scorer_of
from residency.evals.suites.load import load_suites
from residency.models.embedding import require_encoder
from residency.training.objectives import get_objective


def require_known(recipe: Recipe) -> None:
    """Look up every name of a registry, and the software that is needed.

    Raises:
        SeveralErrors: all that is missing, or does not go together.
    """
    needs: list[Callable[[], object]] = [
        partial(scorer_of, recipe),
        partial(get_objective, recipe.train.objective),
        partial(load_suites, recipe.regression.suites),
        partial(_require_paraphraser, recipe),
    ]
    if recipe.train.method == "qlora":
        from residency.models.quantise import require_bitsandbytes

        needs.append(require_bitsandbytes)
    if recipe.candidates.similarity == "meaning":
        needs.append(require_encoder)
    if recipe.candidates.documents:
        from residency.candidates.documents import require_documents

        needs.append(partial(require_documents, recipe.candidates.documents))
    if recipe.task.schema_file:
        from residency.models.constrain import read_schema, require_llguidance

        needs += [require_llguidance, partial(read_schema, recipe.task.schema_file)]
    if recipe.sweep.search == "optuna":
        from residency.training.search import require_optuna

        needs.append(require_optuna)
    if recipe.sweep.varied:
        fix = "Run it without torchrun, or take [sweep] out."
        needs.append(partial(require_one_process, "A sweep trains in one process.", "sweep", fix))
    if recipe.train.watch == "score" and recipe.train.distribution == "fsdp":
        what = "A model that is sharded over processes cannot answer rows during training."
        fix = 'Set train.watch = "loss", or train.distribution = "ddp".'
        needs.append(partial(require_one_process, what, "train.watch", fix))
    mistakes: list[ResidencyError] = []
    for need in needs:
        try:
            need()
        except SeveralErrors as error:
            mistakes += error.errors
        except ResidencyError as error:
            mistakes.append(error)
    if mistakes:
        raise SeveralErrors(mistakes)


def _require_paraphraser(recipe: Recipe) -> None:
    wanted, names = recipe.verdict.paraphraser, [one.name for one in recipe.candidates.remote]
    if wanted is None or wanted in names:
        return
    what = f"No model behind an API is named '{wanted}'."
    fix = f"Use one of: {', '.join(names)}." if names else "Add it to the recipe as [[candidates.remote]]."
    raise ResidencyError(what, "verdict.paraphraser", fix)


def require_one_process(what: str, where: str, fix: str) -> None:
    """Refuse to go on under torchrun.

    Raises:
        ResidencyError: there are several processes.
    """
    if process_count() > 1:
        raise ResidencyError(what, where, fix)
