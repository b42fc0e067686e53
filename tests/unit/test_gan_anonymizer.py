"""The GAN anonymizer as a trial: shared warm start, saved generator, clear errors; the loss nets are stand-ins."""

import itertools
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
from veil.errors import ConfigError, DataError, DivergedError, StoppedEarlyError
from veil.faces.contract import CropContract
from veil.faces.table import FaceTable, tensor_to_images
from veil.interfaces import FaceBatch, TrialContext
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


def make_table(faces, first=0, scales=(1.0, 1.0, 1.0, 1.0), identities=("ann",) * 4):
    """A table of the faces; the third has no pose."""
    rows = [
        make_row(
            first + number, identity=identities[number], crop=crop, landmarks68=landmarks, source_scale=scales[number],
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
    return make_table(
        faces._replace(images=-faces.images), first=20, scales=(3.0, 3.0, 1.0, 3.0), identities=(None,) * 4
    )


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


def test_rungs_show_what_the_trial_has_become_and_change_nothing(faces, context, tmp_path):
    whole = GanAnonymizer().run(config(images=16), replace(context, folder=tmp_path / "whole"))
    seen = {}

    def at_rung(outcome, images):
        seen[images] = outcome.anonymizer(faces)
        assert outcome.conditioning.channels == 1

    context = replace(context, rungs=(4, 8), at_rung=at_rung)
    outcome = GanAnonymizer().run(config(images=16), context)
    assert torch.equal(outcome.anonymizer(faces), whole.anonymizer(faces))
    assert list(seen) == [4, 8]
    assert not torch.equal(seen[4], seen[8]) and not torch.equal(seen[8], outcome.anonymizer(faces))
    assert context.launcher.trainings == 2 + 3, "the warm start is shared; three segments"


def test_a_stopped_trial_keeps_its_nets_and_no_checkpoint(context):
    def at_rung(outcome, images):
        raise StoppedEarlyError("rung 4: rank 2 of 2", images)

    with pytest.raises(StoppedEarlyError):
        GanAnonymizer().run(config(images=16), replace(context, rungs=(4, 8), at_rung=at_rung))
    files = {path.name for path in (context.folder / "training").iterdir()}
    assert files == {"generator.safetensors", "ema.safetensors", "discriminator.safetensors"}


def test_a_shared_training_is_not_stopped(context):
    def at_rung(outcome, images):
        raise StoppedEarlyError("never", images)

    stopping = replace(context, rungs=(4,), at_rung=at_rung)
    assert GanAnonymizer().run(config(loss_conditional={}), stopping).anonymizer is not None


def test_codes_and_seeds_share_the_warm_start_and_nothing_else(context, tmp_path, faces):
    kinds = [{}, {"training_seed": 2}, {"identity_code": "random", "weights": {"diversity": 1.0}}]
    outcomes = []
    for number, changes in enumerate(kinds):
        trial = replace(context, folder=tmp_path / str(number))
        outcomes.append(GanAnonymizer().run(config(images=4, **changes), trial))
    assert context.launcher.trainings == 4
    names = [list(outcome.trainings) for outcome in outcomes]
    (warm,) = set(names[0]) & set(names[1]) & set(names[2])
    assert warm.startswith("warm_start-") and len({name for both in names for name in both}) == 4
    assert [outcome.trainings[own] for (_, own), outcome in zip(names, outcomes, strict=True)] == [4, 4, 4]
    assert outcomes[0].trainings[warm] == 8
    images = [outcome.anonymizer(faces) for outcome in outcomes]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(images, 2))


@pytest.mark.parametrize("identity", ["random", "target"])
def test_each_image_has_a_code_of_its_own_and_keeps_it(faces, context, identity, tmp_path):
    people = make_table(faces, identities=("ann", "bob", "bob", "cy"))
    term = {"random": "diversity", "target": "target"}[identity]
    settings = config(identity_code=identity, code_size=4, learning_rate=0.01, weights={term: 1.0})
    outcome = GanAnonymizer().run(settings, replace(context, faces=people))
    assert torch.equal(outcome.anonymizer(faces), GanAnonymizer().load(settings, context.folder)(faces))
    dims = torch.linspace(0.9, 1, 6).view(-1, 1, 1, 1)
    dimmed = FaceBatch(faces.images[:1] * dims, faces.landmarks[:1].repeat(6, 1, 1))
    images = outcome.anonymizer(dimmed)
    assert (images - images[:1]).abs().max() > 1e-3, "all landmarks are equal: the code alone tells images apart"
    fixed = GanAnonymizer().run(settings.model_copy(update={"code_at_use": "fixed"}), replace(context, faces=people))
    images = fixed.anonymizer(dimmed)
    torch.testing.assert_close(images, images[:1].expand_as(images), rtol=0, atol=1e-5)


def test_one_loss_conditional_training_serves_all_weights(faces, context, tmp_path):
    def run(number, **changes):
        weights = {"id": 1.0, "expr": 1.0, "rec": 10.0} | changes.pop("weights", {})
        settings = config(weights=weights, loss_conditional={}, learning_rate=0.01, **changes)
        trial = replace(context, folder=tmp_path / str(number))
        return settings, trial, GanAnonymizer().run(settings, trial)

    settings, trial, first = run(0)
    again, other = run(1, report_every_images=2)[2], run(2, weights={"id": 10.0, "expr": 0.1})[2]
    assert context.launcher.trainings == 2, "a warm start and a training for three trials"
    assert torch.equal(first.anonymizer(faces), again.anonymizer(faces))
    assert (first.anonymizer(faces) - other.anonymizer(faces)).abs().max() > 1e-3
    assert first.trainings == other.trainings and sorted(first.trainings.values()) == [8, 8]
    assert torch.equal(GanAnonymizer().load(settings, trial.folder)(faces), first.anonymizer(faces))
    assert run(3, training_seed=1)[2].trainings != first.trainings
    assert run(4, weights={"adv": 0.5})[2].trainings != first.trainings


def test_a_shared_training_that_diverged_is_not_tried_again(context, tmp_path):
    mad = config(loss_conditional={}, warm_start_images=0, learning_rate=1e30, images=40)
    for name in ("a", "b"):
        with pytest.raises(DivergedError, match="diverged after"):
            GanAnonymizer().run(mad, replace(context, folder=tmp_path / name))
    assert context.launcher.trainings == 1


def test_a_teacher_without_features_is_refused_before_any_training(context):
    with pytest.raises(ConfigError, match="no `features_and_logits`; set expression_loss to 'kl'"):
        GanAnonymizer().run(config(expression_loss="kl+feature"), context)
    assert context.launcher.trainings == 0
    GanAnonymizer().run(config(expression_loss="feature", weights={"expr": 0.0}), context)


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
        ({"weights": {"diversity": 1}}, "weights.diversity is 1, which needs identity_code 'random', found 'none'"),
        ({"weights": {"target": 1}, "identity_code": "random"}, "needs identity_code 'target', found 'random'"),
        ({"weights": dict.fromkeys(("adv", "rec", "id", "expr"), 0)}, "all weights are 0, so that nothing is learned"),
        ({"loss_conditional": {"id": [1, 1]}}, r"loss_conditional.id.*\[1, 1\] is no range"),
        ({"loss_conditional": {}, "weights": {"rec": 1}}, r"weights.rec is 1, outside the range \[3, 60\]"),
    ],
)
def test_wrong_settings_are_named_before_anything_runs(params, message):
    with pytest.raises(ConfigError, match=message):
        GanConfig.parse(params, where="trial")


def test_label_marks_what_is_out_of_the_ordinary():
    label = GanAnonymizer().label
    assert label(config(weights={"id": 6, "expr": 0.5})) == "landmarks λ_id=6 λ_expr=0.5"
    assert label(config(conditioning="pixels", proxy_transforms=False)) == "pixels λ_id=1 λ_expr=1 plain"
    assert label(config(loss_conditional={}, identity_code="random")) == "film landmarks λ_id=1 λ_expr=1 random"
