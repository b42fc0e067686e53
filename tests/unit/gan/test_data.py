"""Training batches: chance belongs to the position in the training."""

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces

from trainables.conditioning import build_conditioning
from trainables.gan.data import TrainingFaces, draw_samples, drop_incomplete, make_batch, noise_images
from trainables.gan.rows import Rows
from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.faces.pose import estimate_pose
from veil.faces.rows import FaceRow
from veil.faces.table import FaceTable, images_to_tensor, tensor_to_images
from veil.interfaces import FACE_PARTS
from veil.registry import parsers


@pytest.fixture(scope="module")
def faces():
    batch = astronaut_faces(5)
    return TrainingFaces(
        tensor_to_images(batch.images),
        batch.landmarks.numpy(),
        key="astronaut",
        parsing=batch.parsing.numpy(),
        pose=batch.pose.numpy(),
    )


def test_a_batch_is_the_sum_of_its_parts():
    whole = draw_samples(seed=3, first=10, count=8, faces=5)
    parts = [draw_samples(3, first, 4, 5) for first in (10, 14)]
    for value, *pieces in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(value, np.concatenate(pieces))


def test_an_epoch_shows_each_face_once_in_changing_order():
    epochs = draw_samples(0, 0, 60, 20).indices.reshape(3, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_extra_faces_take_their_share_of_every_stretch_and_have_epochs_of_their_own(share):
    samples = draw_samples(0, 0, 400, faces=10, extra=40, extra_share=share)
    is_extra = samples.indices >= 10
    assert (np.add.reduceat(is_extra, range(0, 400, 8)) == 8 * share).all()
    own, extra = samples.indices[~is_extra], samples.indices[is_extra] - 10
    np.testing.assert_array_equal(own, draw_samples(0, 0, own.size or 1, faces=10).indices[: own.size])
    for start in range(0, extra.size - 39, 40):
        assert sorted(extra[start : start + 40]) == list(range(40))
    parts = [draw_samples(0, first, 100, 10, extra=40, extra_share=share) for first in (0, 100, 200, 300)]
    np.testing.assert_array_equal(np.concatenate([part.indices for part in parts]), samples.indices)
    without = draw_samples(0, 0, 400, faces=10, extra_share=share)
    assert without.indices.max() < 10, "no share of nothing"
    np.testing.assert_array_equal(without.draws, samples.draws)


def test_rows_of_several_arrays_are_those_of_one():
    parts = [np.random.default_rng(seed).integers(0, 255, (length, 3, 2)) for seed, length in enumerate((4, 1, 6))]
    rows, whole = Rows(parts), np.concatenate(parts)
    assert len(rows) == 11
    for key in (np.array([10, 0, 4, 4, 3]), slice(2, 8), slice(9, 20), np.array([], np.int64)):
        np.testing.assert_array_equal(rows[key], whole[key])


def test_seeds_and_positions_differ():
    a, b = draw_samples(0, 0, 200, 10), draw_samples(1, 0, 200, 10)
    assert not np.array_equal(a.draws, b.draws)
    assert len(np.unique(a.noise_seeds)) == 200
    assert 0.35 < a.mirrored.mean() < 0.65
    assert abs(a.draws.mean() - 0.5) < 0.03


def test_noise_of_one_image_depends_on_its_seed_alone():
    both, one = noise_images(np.array([5, 6]), 16, "cpu"), noise_images(np.array([6]), 16, "cpu")
    assert both.shape == (2, 3, 16, 16)
    assert torch.equal(both[1:], one)


def test_mirrored_faces_have_mirrored_signals(faces):
    none, all_ = np.zeros(5, bool), np.ones(5, bool)
    plain, mirrored = (faces.batch(np.arange(5), sides) for sides in (none, all_))
    assert torch.equal(plain.images, images_to_tensor(faces.images))
    assert torch.equal(mirrored.images, plain.images.flip(-1))
    # The mirrored right eye is the left one, at the mirrored place.
    torch.testing.assert_close(mirrored.landmarks[:, 45, 0], 111 - plain.landmarks[:, 36, 0])
    torch.testing.assert_close(mirrored.landmarks[:, 45, 1], plain.landmarks[:, 36, 1])
    assert torch.equal(mirrored.parsing == FACE_PARTS.index("left_eye"), eye(plain, "right").flip(-1))
    torch.testing.assert_close(mirrored.pose, plain.pose * torch.tensor([-1, 1, -1]))
    some = faces.batch(np.arange(5), np.array([True, False, False, True, False]))
    for value, plain_value, mirrored_value in zip(some, plain, mirrored, strict=True):
        assert torch.equal(value[[1, 2, 4]], plain_value[[1, 2, 4]])
        assert torch.equal(value[[0, 3]], mirrored_value[[0, 3]])


def eye(faces, side):
    return faces.parsing == FACE_PARTS.index(f"{side}_eye")


@pytest.mark.parametrize(
    ("name", "exchanged"),
    [
        ("landmarks", [0]),
        ("masked+landmarks", [0, 1, 2, 3, 4]),
        ("lowpass", [0, 1, 2]),
        # Right and left are the person's own: their channels change places.
        ("heatmaps", [0, 2, 1, 3, 4, 6, 5, 7, 8]),
        ("parsing", [0, 1, 3, 2, 5, 4, *range(6, 15)]),
    ],
)
def test_the_condition_of_a_mirrored_face_is_the_mirrored_condition(faces, name, exchanged):
    conditioning = build_conditioning(name)
    plain, mirrored = (conditioning(faces.batch(np.arange(5), np.full(5, side))) for side in (False, True))
    mirrored = mirrored[:, exchanged]
    # Antialiasing rounds to sixteenths of a pixel, not symmetrically.
    assert (mirrored.flip(-1) - plain).abs().mean() < 2e-3


def test_batch_puts_faces_and_what_may_be_seen_together(faces):
    batch = make_batch(faces, build_conditioning("landmarks"), draw_samples(0, 0, 3, 5))
    assert batch.originals.shape == (3, 3, 112, 112)
    assert batch.condition.shape == (3, 1, 112, 112)
    batch = make_batch(faces, build_conditioning("parsing+pose"), draw_samples(0, 0, 3, 5))
    assert batch.condition.shape == (3, len(FACE_PARTS) + 3, 112, 112)


def test_signals_that_are_not_carried_are_not_made_up(faces):
    without = TrainingFaces(faces.images, faces.landmarks, "bare")
    bare = without.batch(np.arange(2), np.array([True, False]), draw_samples(0, 0, 2, 5).moves)
    assert bare.parsing is None and bare.pose is None
    with pytest.raises(DataError, match="3 of 3 faces have no head pose"):
        make_batch(without, build_conditioning("pose"), draw_samples(0, 0, 3, 5))


def test_no_faces_is_an_error():
    with pytest.raises(DataError, match="train split"):
        TrainingFaces(np.zeros((0, 3, 112, 112), np.uint8), np.zeros((0, 68, 2), np.float32), "none")


def test_poses_move_pixels_and_landmarks_alike(faces):
    samples = draw_samples(seed=1, first=0, count=5, faces=5)
    white = TrainingFaces(np.zeros_like(faces.images), faces.landmarks, "dots")
    for image, (x, y) in zip(white.images, white.landmarks[:, 33], strict=True):
        image[:, round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    moved = white.batch(np.arange(5), np.zeros(5, bool), samples.moves)
    shift = (moved.landmarks[:, 33] - torch.from_numpy(white.landmarks[:, 33])).norm(dim=1)
    assert shift.max() > 1, "or nothing moved"
    weights = (moved.images[:, 0] + 1) / 2
    total = weights.sum((1, 2))
    x = (weights.sum(1) * torch.arange(112)).sum(1) / total
    y = (weights.sum(2) * torch.arange(112)).sum(1) / total
    torch.testing.assert_close(torch.stack([x, y], dim=1), moved.landmarks[:, 33], rtol=0, atol=1.0)


def test_parsing_and_pose_move_with_the_face(faces):
    samples = draw_samples(seed=1, first=0, count=5, faces=5)
    still, still_sides = faces.batch(np.arange(5), np.zeros(5, bool)), np.zeros(5, bool)
    moved = faces.batch(np.arange(5), still_sides, samples.moves)
    redrawn = parsers.get("polygons")()(moved.images, moved.landmarks)
    assert (moved.parsing != still.parsing).float().mean() > 0.05, "or nothing moved"
    # Sampled maps have ragged edges, and a stretch tilts the forehead a little otherwise than its landmarks.
    assert (moved.parsing != redrawn).float().mean() < 0.03
    # Between skin and lips lie the numbers of the eyes: a mixture of two numbers would be an eye at the mouth.
    lowest = [int(eyes.nonzero()[:, 0].max()) for eyes in eye(moved, "right")]
    assert all(row < y for row, y in zip(lowest, moved.landmarks[:, 33, 1], strict=True))
    torch.testing.assert_close(moved.pose[:, :2], still.pose[:, :2])
    measured = np.stack([estimate_pose(points).degrees for points in moved.landmarks.numpy()])
    assert (moved.pose[:, 2] - still.pose[:, 2]).abs().max() > 2
    np.testing.assert_allclose(moved.pose[:, 2], measured[:, 2], atol=1.5)

    angle = np.radians(6)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pure = np.column_stack([turn, np.full(2, 55.5) - turn @ np.full(2, 55.5)])
    turned = faces.batch(np.arange(5), still_sides, np.stack([pure] * 5))
    measured = np.stack([estimate_pose(points).degrees for points in turned.landmarks.numpy()])
    np.testing.assert_allclose(turned.pose, measured, atol=0.01)


def test_no_augmentation_leaves_faces_as_they_are(faces):
    samples = draw_samples(seed=1, first=0, count=5, faces=5, augmentation=0.0)
    still = faces.batch(samples.indices, np.zeros(5, bool), samples.moves)
    torch.testing.assert_close(still.images, images_to_tensor(faces.images[samples.indices]))
    torch.testing.assert_close(still.landmarks, torch.from_numpy(faces.landmarks[samples.indices]))
    assert torch.equal(still.parsing, torch.from_numpy(faces.parsing[samples.indices]))
    torch.testing.assert_close(still.pose, torch.from_numpy(faces.pose[samples.indices]))


def table_of(faces, lacking):
    """The faces as a table, where some lack signals: those are None."""
    rows = []
    for index in range(len(faces)):
        signals = {"parsing": faces.parsing[index], "pose": faces.pose[index]} | lacking.get(index, {})
        rows.append(
            FaceRow(
                image_id=str(index),
                split="train",
                source_path=str(index),
                source_sha256=f"{index:064x}",
                detector="none",
                crop=faces.images[index],
                landmarks5=np.zeros((5, 2), np.float32),
                landmarks68=faces.landmarks[index],
                missing={name: "not measured" for name, value in signals.items() if value is None},
                **signals,
            )
        )
    return FaceTable.from_rows(rows, CropContract("none", "0" * 64, {}, "none", "0" * 64))


def test_incomplete_faces_are_left_out_and_counted(faces):
    table = table_of(faces, {1: {"parsing": None}, 2: {"pose": None}, 4: {"parsing": None, "pose": None}})
    for needs, kept, counts in [
        (set(), "01234", {}),
        ({"landmarks68"}, "01234", {}),
        ({"pose"}, "013", {"head pose": 2}),
        ({"pose", "parsing"}, "03", {"head pose": 2, "parsing map": 2}),
    ]:
        complete, dropped = drop_incomplete(table, needs)
        assert (complete.image_ids, dropped) == (list(kept), counts)
    with pytest.raises(DataError, match=r"none of the 5 training faces .*: 5 have no parsing map; set 'data.parsing'"):
        drop_incomplete(table_of(faces, {index: {"parsing": None} for index in range(5)}), {"parsing"})
