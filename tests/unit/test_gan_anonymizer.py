"""The GAN anonymizer as a trial: shared warm start, saved generator, clear errors; the loss nets are stand-ins."""

import pickle
import threading
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from face_rows import make_row
from real_faces import astronaut_faces
from stand_ins import small_roles

from trainables.gan_anonymizer import GanAnonymizer, GanConfig, training_faces
from veil.errors import ConfigError, DataError
from veil.faces.contract import CropContract
from veil.faces.table import FaceTable, tensor_to_images
from veil.interfaces import TrialContext
from veil.runtime import LocalLauncher


@dataclass
class CountingLauncher:
    """Runs trainings here and counts them; a training must be able to travel."""

    reports: list = field(default_factory=list)
    trainings: int = 0
    workers: int = 1

    def __call__(self, train):
        self.trainings += 1
        pickle.dumps(train)
        LocalLauncher(lambda metrics, images: self.reports.append((images, metrics)))(train)


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(4)


CONTRACT = CropContract("none", "0" * 64, {}, "none", "0" * 64)


def make_table(faces, first=0, scales=(1.0, 1.0, 1.0, 1.0), identity="ann"):
    """A table of the faces; the third has no pose."""
    rows = [
        make_row(
            first + number, identity=identity, crop=crop, landmarks68=landmarks, source_scale=scales[number],
            pose=None if number == 2 else pose,
        )
        for number, (crop, landmarks, pose) in enumerate(
            zip(tensor_to_images(faces.images), faces.landmarks.numpy(), faces.pose.numpy(), strict=True)
        )
    ]  # fmt: skip
    return FaceTable.from_rows(rows, CONTRACT)


@pytest.fixture(scope="module")
def table(faces):
    return make_table(faces)


@pytest.fixture(scope="module")
def strangers(faces):
    return make_table(faces._replace(images=-faces.images), first=20, scales=(3.0, 3.0, 1.0, 3.0), identity=None)


@pytest.fixture
def context(table, tmp_path):
    return TrialContext(tmp_path / "trial", tmp_path / "cache", table, small_roles, CountingLauncher(), seed=3)


def config(**changes):
    values = {
        "conditioning": "landmarks", "images": 8, "warm_start_images": 8, "batch_size": 4,
        "generator_width": 8, "discriminator_width": 8, "report_every_images": 4,
    }  # fmt: skip
    return GanConfig.parse(values | changes, where="trial")


def test_run_returns_an_anonymizer_that_load_rebuilds(faces, context):
    outcome = GanAnonymizer().run(config(), context)
    again = GanAnonymizer().load(config(), context.folder)
    assert torch.equal(outcome.anonymizer(faces), again(faces))
    assert set(outcome.seconds) == {"warm_start", "train"}
    assert outcome.conditioning.channels == 1
    assert {path.suffix for path in (context.folder / "generator").iterdir()} == {".safetensors", ".json"}


def test_only_the_trial_s_own_training_is_reported(context):
    GanAnonymizer().run(config(), context)
    assert [images for images, _ in context.launcher.reports] == [4, 8]
    assert context.launcher.trainings == 2


def test_trials_of_any_weights_and_seed_share_one_warm_start_of_a_conditioning(context, tmp_path):
    GanAnonymizer().run(config(), context)
    other = replace(context, folder=tmp_path / "other", seed=8)
    GanAnonymizer().run(config(weights={"id": 5.0, "rec": 1.0}, images=4), other)
    assert context.launcher.trainings == 3
    GanAnonymizer().run(config(conditioning="lowpass", images=4), replace(context, folder=tmp_path / "third"))
    assert context.launcher.trainings == 5
    assert len([path for path in context.cache.iterdir() if path.is_dir()]) == 2


def test_trials_at_the_same_time_make_one_warm_start(context, tmp_path):
    jobs = [
        threading.Thread(target=GanAnonymizer().run, args=(config(images=4), replace(context, folder=tmp_path / name)))
        for name in ("a", "b")
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert context.launcher.trainings == 3


def test_a_finished_trial_run_again_trains_nothing(faces, context):
    first = GanAnonymizer().run(config(), context)
    reports = len(context.launcher.reports)
    again = GanAnonymizer().run(config(), context)
    assert len(context.launcher.reports) == reports
    assert torch.equal(first.anonymizer(faces), again.anonymizer(faces))


def test_without_warm_start(context):
    assert set(GanAnonymizer().run(config(warm_start_images=0), context).seconds) == {"train"}


def test_no_faces_or_no_generator_is_a_clear_error(context, tmp_path):
    with pytest.raises(DataError, match="needs faces"):
        GanAnonymizer().run(config(), replace(context, faces=None))
    with pytest.raises(DataError, match="holds no generator"):
        GanAnonymizer().load(config(), tmp_path / "absent")


def test_extra_faces_follow_the_people_and_what_is_left_out_is_counted(table, strangers):
    faces, counts = training_faces(table, [strangers], frozenset({"pose"}))
    assert counts == {"people": 3, "extra": 3, "low_resolution": 3, "too_blurred": 0, "without_head_pose": 2}
    assert (len(faces), faces.extra) == (6, 3)
    np.testing.assert_array_equal(faces.images[np.array([5, 0])], [strangers.crops[3], table.crops[0]])
    np.testing.assert_array_equal(faces.pose[3], strangers.pose[0])
    assert faces.parsing is None
    sharp, counts = training_faces(table, [strangers], frozenset(), max_source_scale=2.0)
    assert (len(sharp), counts["too_blurred"], counts["low_resolution"]) == (5, 3, 0)
    with pytest.raises(DataError, match="all 4 faces of a training set.*raise max_source_scale"):
        training_faces(table, [strangers], frozenset(), max_source_scale=0.5)
    keys = {faces.key, sharp.key, *(training_faces(table, extra, frozenset())[0].key for extra in ([], [strangers]))}
    assert len(keys) == 4


def test_a_trial_trains_on_extra_faces_and_reports_them(context, strangers, tmp_path):
    alone = GanAnonymizer().run(config(), context)
    assert alone.training_faces["extra"] == 0
    beside = replace(context, folder=tmp_path / "beside", extra_faces=(strangers,))
    outcome = GanAnonymizer().run(config(), beside)
    assert (outcome.training_faces["people"], outcome.training_faces["extra"]) == (4, 4)
    unused = GanAnonymizer().run(config(extra_share=0.0), replace(beside, folder=tmp_path / "unused"))
    faces = astronaut_faces(2)
    assert torch.equal(unused.anonymizer(faces), alone.anonymizer(faces))
    assert not torch.equal(outcome.anonymizer(faces), alone.anonymizer(faces))
    assert context.launcher.trainings == 5, "without extra faces the warm start is shared"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"weights": {"id": -1}}, r"weights.id.*greater than or equal to 0"),
        ({"weights": {"rec": float("nan")}}, r"weights.rec"),
        ({"weights": {"idd": 1}}, "did you mean 'id'"),
        ({"conditioning": "landmark"}, "did you mean 'landmarks'"),
        ({"batch_size": 0}, "batch_size"),
        ({"proxy_transform": True}, "did you mean 'proxy_transforms'"),
    ],
)
def test_wrong_settings_are_named_before_anything_runs(params, message):
    with pytest.raises(ConfigError, match=message):
        GanConfig.parse(params, where="trial")


def test_label_marks_a_plain_proxy():
    label = GanAnonymizer().label
    assert label(config(weights={"id": 6, "expr": 0.5})) == "landmarks λ_id=6 λ_expr=0.5"
    assert label(config(conditioning="pixels", proxy_transforms=False)) == "pixels λ_id=1 λ_expr=1 plain"
