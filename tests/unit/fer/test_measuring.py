"""Temperature and scores against scikit-learn and a grid."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from trainables.fer.faces import LabelledFaces
from trainables.fer.measuring import Mirrored, fit_temperature, measure
from veil.interfaces import EXPRESSIONS

N, K = 600, len(EXPRESSIONS)


@pytest.fixture(scope="module")
def sample():
    """Calibrated logits, and the labels drawn from them."""
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.standard_normal((N, K))
    labels = np.array([rng.choice(K, p=row) for row in softmax(logits, axis=1)])
    return logits, labels


@pytest.mark.parametrize("sureness", [0.3, 1.0, 4.0])
def test_temperature_is_the_best_of_a_fine_grid(sample, sureness):
    logits, labels = sample[0] * sureness, sample[1]
    grid = sureness * np.geomspace(0.7, 1.4, 150)
    losses = [log_loss(labels, softmax(logits / temperature, axis=1), labels=range(K)) for temperature in grid]
    best = grid[np.argmin(losses)]
    assert grid[0] < best < grid[-1]
    found = fit_temperature(logits, np.eye(K)[labels])
    assert found == pytest.approx(best, rel=0.003)
    assert found == pytest.approx(sureness, rel=0.15)


def test_soft_targets_of_calibrated_logits_need_no_temperature(sample):
    assert fit_temperature(sample[0], softmax(sample[0], axis=1)) == pytest.approx(1, abs=1e-3)


class Recorded(torch.nn.Module):
    """Gives recorded logits four times too sure, by the number that is written in a face's first pixels."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.from_numpy(4 * logits).float())

    def forward(self, grey):
        digits = ((grey[:, 0, 0, :2] + 1) * 127.5).round().long()
        return self.logits[digits[:, 0] * 256 + digits[:, 1]]


@pytest.fixture(scope="module")
def faces(sample):
    images = np.zeros((N, 48, 48), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(N), 256)
    return LabelledFaces(images, np.eye(K, dtype=np.float32)[sample[1]])


def test_scores_are_those_of_scikit_learn(sample, faces):
    logits, labels = sample
    found = measure(Recorded(logits), faces, temperature=4.0)
    read = logits.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, read), abs=1e-4)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, read, average="macro"), abs=1e-4)
    np.testing.assert_array_equal(found["confusion"], confusion_matrix(labels, read, labels=range(K)))
    assert found["ece"] < 0.06 < 0.2 < found["ece_uncalibrated"]


def test_mirror_images_are_read_too():
    class Left(torch.nn.Module):
        def forward(self, grey):
            return grey[:, 0, :, 0]

    grey = torch.arange(12.0).view(1, 1, 3, 4)
    assert Mirrored(Left())(grey).tolist() == [[1.5, 5.5, 9.5]]
