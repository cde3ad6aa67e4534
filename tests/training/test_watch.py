"""Early stopping by a score: it decides which step is kept, and answering changes no weight."""

from __future__ import annotations

import pytest
import torch

from residency.core.progress import Silent
from residency.core.recipe import Train
from residency.models.adapters import attach_lora
from residency.models.generate import generate
from residency.training.checkpoint import trainable_state
from residency.training.loop import Trainer

from .conftest import draw_sequences, tiny_llama

SETTINGS = Train(rank=3, alpha=6, epochs=3, batch_size=4, learning_rate=0.01, micro_tokens=40, patience=2)
TRAIN = draw_sequences(0, 4, [6, 9, 12, 7, 8, 5, 11, 10, 6, 14])
VALIDATION = draw_sequences(1, 4, [8, 9, 7])


def trainer(folder, settings=SETTINGS) -> Trainer:
    model = attach_lora(tiny_llama(), settings.rank, settings.alpha, settings.seed)
    return Trainer(model, TRAIN, VALIDATION, settings, folder)


@pytest.mark.parametrize(
    ("scores", "best", "steps"),
    [([0.2, 0.5, 0.4, 0.5, 0.9], 4, 8), ([0.2, 0.5, 0.4, 0.6, 0.9], 9, 9), ([0.3, 0.2, 0.1], 2, 6)],
)
def test_the_score_decides_which_step_is_kept_and_when_to_stop(tmp_path, scores, best, steps):
    """Measured at 2, 4, 6, 8 and 9. The loss rises here, so that an equal score is no gain."""
    settings = SETTINGS.model_copy(update={"learning_rate": 0.5})
    given = iter(scores)
    result = trainer(tmp_path, settings).run(Silent(), score=lambda: next(given))
    assert [point.score for point in result.curve] == scores[: len(result.curve)]
    assert (result.best_step, result.steps) == (best, steps)
    assert result.stopped_early == (steps < 9)


def test_answering_during_training_changes_no_weight(tmp_path):
    """Generation puts another attention into the model, keeps casts of its weights, and draws nothing."""
    settings = SETTINGS.model_copy(update={"patience": 1000, "epochs": 2.0, "learning_rate": 0.1})
    plain, watched = trainer(tmp_path / "plain", settings), trainer(tmp_path / "watched", settings)
    answers = []

    def score() -> float:
        prompts = [row.ids[:7] for row in VALIDATION]
        answered = generate(watched.model, prompts, max_new_tokens=5, stop_ids=[3], batch_size=2)
        answers.append([a.ids for a in answered])
        return len(answers) / 10  # rises, so that the last step is kept

    plain.run(Silent())
    watched.run(Silent(), score=score)
    assert answers[0] != answers[-1]
    last = [tmp_path / name / "step-00000006" / "weights.safetensors" for name in ("plain", "watched")]
    assert last[0].read_bytes() == last[1].read_bytes()
    assert [p.validation_loss for p in plain.progress.curve] == [
        p.validation_loss for p in watched.progress.curve
    ]
    kept = trainable_state(watched.model)
    assert all(torch.isfinite(value).all() for value in kept.values())
