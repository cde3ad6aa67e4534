"""Curves made by hand: which point is best, and since when the model overfits."""

import pytest

from residency.training.curve import Point, Progress, best_of, overfits_since


def curve(*figures: tuple[float, ...]) -> list[Point]:
    """Points at the steps 10, 20, ... from training loss, validation loss and, if there is one, score."""
    return [Point(10 * n, n, f[0], f[1], 1e-3, *f[2:]) for n, f in enumerate(figures, 1)]


@pytest.mark.parametrize(
    ("points", "since"),
    [
        (curve(), None),
        (curve((1.0, 1.0)), None),
        (curve((1.0, 1.0), (0.5, 0.9), (0.4, 0.8)), None),
        (curve((1.0, 1.0), (0.5, 0.8), (0.4, 0.9), (0.3, 1.0)), 30),
        # a rise of a twentieth is noise: it overfits since the rise that is more
        (curve((1.0, 1.0), (0.5, 0.8), (0.4, 0.84), (0.3, 0.85)), 40),
        # the loss came back down: it does not overfit, and what came between was noise
        (curve((1.0, 1.0), (0.5, 0.8), (0.4, 0.9), (0.3, 0.81)), None),
        (curve((1.0, 1.0), (0.5, 0.8), (0.4, 0.9), (0.3, 0.82), (0.2, 0.9)), 50),
        # the training loss rose as well: training went astray, which is not overfitting
        (curve((1.0, 1.0), (0.5, 0.8), (0.6, 0.9)), None),
        (curve((0.5, 0.8), (0.6, 2.0), (0.4, 1.0)), 30),
    ],
)
def test_it_overfits_since_the_training_loss_alone_falls(points, since):
    assert overfits_since(points) == since


@pytest.mark.parametrize(
    ("points", "best", "without_gain"),
    [
        (curve((1.0, 1.0), (0.5, 0.8), (0.4, 0.9)), 20, 1),
        (curve((1.0, 0.8), (0.5, 0.8)), 10, 1),
        # scores outweigh losses, losses decide between equal scores, and the earlier between equals
        (curve((1.0, 0.7, 0.5), (0.5, 0.8, 0.6), (0.4, 0.9, 0.6)), 20, 1),
        (curve((1.0, 0.7, 0.5), (0.5, 0.9, 0.6), (0.4, 0.8, 0.6)), 30, 0),
        (curve((1.0, 0.7, 0.0), (0.5, 0.6, 0.0), (0.4, 0.6, 0.0), (0.4, 0.9, 0.0)), 20, 2),
    ],
)
def test_the_best_point_and_the_points_since(points, best, without_gain):
    assert best_of(points).step == best
    progress = Progress(64, points)
    assert (progress.best_step, progress.without_gain) == (best, without_gain)


def test_the_last_point_counts_as_the_best_where_asked():
    progress = Progress(64, curve((1.0, 0.7), (0.5, 0.8), (0.4, 0.9)), keeps_last=True)
    assert (progress.best_step, progress.without_gain) == (30, 0)


def test_progress_before_the_first_measurement():
    progress = Progress(64, recent=[0.5])
    assert (progress.best_step, progress.without_gain) == (None, 0)
    assert Progress.from_json(progress.to_json()) == progress
