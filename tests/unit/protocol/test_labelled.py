"""Labelled expressions of faces that nobody is attacked in: counts, intervals, and what is left out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from attack_sets import StripeExpression, quick_suite
from face_rows import make_row
from sklearn.metrics import accuracy_score, f1_score

from veil.faces.contract import CropContract
from veil.faces.table import FaceTable
from veil.interfaces import EXPRESSIONS
from veil.protocol.labelled import LabelledSet, draw_labelled, score_labelled

CONTRACT = CropContract("none", "0" * 64, {}, "none", "0" * 64)


def stripes(number: int, label: int, split: str = "search", **changes: object):
    """A face whose lowest rows shine in the stripe of its label: what StripeExpression reads."""
    crop = np.random.default_rng(number).integers(0, 60, (3, 112, 112), dtype=np.uint8)
    crop[:, 96:, 16 * label : 16 * label + 16] = 250
    return make_row(number, split, None, crop=crop, expression_label=EXPRESSIONS[label], **changes)


@pytest.fixture(scope="module")
def table() -> FaceTable:
    rows = [stripes(number, number % 7, source_scale=3.0 if number < 5 else 1.0) for number in range(42)]
    rows += [stripes(100 + number, number, pose=np.zeros(3)) for number in range(3)]
    rows += [make_row(200, "search", None), stripes(201, 1, "sealed"), stripes(202, 1, "train")]
    rows += [stripes(203, 2, source_sha256=rows[-1].source_sha256)]
    return FaceTable.from_rows(rows, CONTRACT)


def test_draw_takes_labelled_faces_that_train_nobody(table: FaceTable) -> None:
    drawn = draw_labelled(table, "search", 999, seed=0)
    assert drawn is not None and len(drawn) == 45
    assert not {"i200", "i202", "i203"} & set(drawn.image_ids)
    assert len(draw_labelled(table, "search", 10, seed=0)) == 10
    assert draw_labelled(table, "sealed", 10, seed=0) is None, "one image has no interval"
    assert draw_labelled(table, "attacker", 10, seed=0) is draw_labelled(table, "search", 0, seed=0) is None


PAIR = ("sad", "happy")


class ConfusesTwo:
    """Gives every sad face the stripe of a happy one."""

    def __call__(self, faces):
        images = faces.images.clone()
        sad, happy = (
            slice(16 * EXPRESSIONS.index(name), 16 * EXPRESSIONS.index(name) + 16) for name in ("sad", "happy")
        )
        moved = images[:, :1, 96:, sad].mean(dim=(1, 2, 3)) > 0
        images[moved, :, 96:, happy], images[moved, :, 96:, sad] = images[moved, :, 96:, sad], -1.0
        return images


def test_what_is_lost_is_measured_with_intervals(table: FaceTable, tmp_path: Path) -> None:
    faces = draw_labelled(table, "search", 42, seed=3)
    score = LabelledSet(faces, StripeExpression(), quick_suite(), tmp_path, "cpu").measure(ConfusesTwo(), 16)
    truth = faces.expression_labels
    seen = ["happy" if label == "sad" else label for label in truth]
    assert score.accuracy_clear.value == score.macro_f1_clear.value == 1.0
    assert score.accuracy.value == pytest.approx(accuracy_score(truth, seen))
    assert score.macro_f1.value == pytest.approx(f1_score(truth, seen, average="macro"))
    assert score.accuracy_retention.value == pytest.approx(score.accuracy.value)
    assert score.top1_agreement.value == score.accuracy.value < 1
    for estimate in (score.accuracy, score.macro_f1, score.js, score.top1_agreement):
        assert estimate.low < estimate.value < estimate.high
    assert (score.n_images, score.left_out) == (42, 0)
    assert score.low_resolution == sum(faces.source_scales > 2) > 0


class NeedsPose(ConfusesTwo):
    needs = frozenset({"pose"})


def test_faces_without_a_needed_signal_are_left_out_and_counted(table: FaceTable, tmp_path: Path) -> None:
    def measured(faces: FaceTable):
        return LabelledSet(faces, StripeExpression(), quick_suite(), tmp_path, "cpu").measure(NeedsPose(), 16)

    score = measured(draw_labelled(table, "search", 999, seed=0))
    assert (score.n_images, score.left_out) == (3, 42)
    assert measured(table.take(range(10))) is None


def test_paired_resamples_make_retention_sharper_than_its_parts() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 200)
    read = np.where(generator.random(200) < 0.4, (labels + 1) % 7, labels)
    clear = generator.dirichlet(np.ones(7) / 2, 200) + np.eye(7)[read]
    clear /= clear.sum(axis=1, keepdims=True)
    anonymized = np.where(generator.random((200, 1)) < 0.1, np.roll(clear, 1, axis=1), clear)
    score = score_labelled(clear, anonymized, labels, quick_suite())
    width = score.accuracy_retention.high - score.accuracy_retention.low
    assert width < score.accuracy.high - score.accuracy.low
    assert (
        score.accuracy_retention.low < score.accuracy.value / score.accuracy_clear.value < score.accuracy_retention.high
    )


def test_nothing_read_on_originals_leaves_nothing_to_retain() -> None:
    labels = np.zeros(20, np.int64)
    blind = np.tile(np.eye(7)[1], (20, 1))
    score = score_labelled(blind, blind, labels, quick_suite())
    assert score.accuracy_clear.value == 0.0
    assert score.accuracy_retention is score.macro_f1_retention is None
    assert torch.tensor(score.js.value) == 0
