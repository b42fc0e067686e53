"""Resampled accuracy and macro-F1 against scikit-learn with sample weights."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from veil.metrics.bootstrap import draw_multiplicities
from veil.metrics.classification import resampled_accuracy, resampled_macro_f1


@pytest.fixture(scope="module")
def drawn():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 40)
    decisions = np.where(generator.random(40) < 0.6, labels, generator.integers(0, 7, 40))
    return decisions, labels, draw_multiplicities(40, 30, seed=1)


def test_every_resample_agrees_with_scikit_learn(drawn):
    decisions, labels, weights = drawn
    accuracies, scores = resampled_accuracy(*drawn), resampled_macro_f1(*drawn)
    for row, found_accuracy, found_score in zip(weights.astype(int), accuracies, scores, strict=True):
        true, decided = np.repeat(labels, row), np.repeat(decisions, row)
        assert found_accuracy == pytest.approx(accuracy_score(true, decided))
        assert found_score == pytest.approx(f1_score(true, decided, average="macro"))
    assert scores.std() > 0.01


def test_a_class_that_a_resample_lacks_is_left_out_of_its_mean():
    decisions, labels = np.array([0, 0, 1]), np.array([0, 0, 2])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    assert resampled_macro_f1(decisions, labels, weights) == pytest.approx([1 / 3, 1.0])
