"""The reversal attacker: what its inverter must undo, what it cannot, and how it fails."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from attack_sets import PatternRecognizer, pattern_faces, simulated_setting
from gloo_workers import run_workers
from safetensors.torch import load_file

from trainables.attackers.inversion import FacePairs, InversionPlan, Inverter, measure_fit, train_inverter
from trainables.attackers.reversal import Reversal, ReversalConfig
from veil.errors import ConfigError
from veil.faces.table import images_to_tensor
from veil.interfaces import AttackFailedError, AttackSet, AttackSetting
from veil.metrics.verification import tar_at_far
from veil.protocol.pairs import compare
from veil.protocol.rendering import net_outputs, render
from veil.runtime import LocalLauncher, Runtime

QUICK = {"images": 160, "width": 8, "learning_rate": 3e-3, "identity_share": 0.2}
FACES = pattern_faces({"attacker": 8, "search": 10})
FEW_FACES = pattern_faces({"attacker": 2, "search": 3}, images=4)


def negative_upside_down(faces):
    return -faces.images.flip(2)


def constant(faces):
    return torch.full_like(faces.images, 0.2)


def people(faces, anonymize, recognizer):
    clear, anonymized = faces.crops[:], render(anonymize, faces, 16, "cpu")
    embeddings = (net_outputs(recognizer, images, 16, "cpu") for images in (clear, anonymized))
    return AttackSet(faces.identity_indices, faces.source_indices, *embeddings, clear, anonymized)


def attack_setting(anonymize, faces=FACES):
    recognizer = PatternRecognizer()
    target, owned = (people(faces.split(split), anonymize, recognizer) for split in ("search", "attacker"))
    return AttackSetting(target, owned, seed=0, recognizer=recognizer)


@pytest.fixture(scope="module")
def hidden():
    return attack_setting(negative_upside_down)


@pytest.fixture(scope="module")
def rehearsed():
    return replace(attack_setting(negative_upside_down, FEW_FACES), rehearsal=True)


@pytest.fixture(scope="module")
def undone(hidden):
    return Reversal(ReversalConfig(**QUICK))(hidden)


def tar(comparisons):
    genuine = comparisons.gallery_identities == comparisons.probe_identities
    return tar_at_far(comparisons.scores[genuine], comparisons.scores[~genuine], 0.01)


def brief(**changes):
    return Reversal(ReversalConfig(**{**QUICK, "images": 16, **changes}))


def test_undoes_a_fixed_distortion_that_the_naive_attack_misses(hidden, undone):
    naive = compare("naive", hidden.target, hidden.target.clear, hidden.target.anonymized, "probe")
    assert tar(naive) < 0.1
    found = {item.name: tar(item) for item in undone}
    assert found["reversal/naive"] > 0.8
    assert found["reversal/fused"] >= found["reversal/naive"]


def test_reconstructions_are_the_target_faces_in_their_order(hidden, undone):
    naive, fused = undone
    clear = hidden.target.clear_images.astype(float)
    assert naive.reconstructions.dtype == np.uint8
    assert naive.reconstructions.shape == clear.shape
    assert fused.reconstructions is None
    distances = np.abs(naive.reconstructions.astype(float)[:, None, 0, ::8, ::8] - clear[None, :, 0, ::8, ::8])
    assert np.mean(distances.mean(axis=(2, 3)).argmin(axis=1) == np.arange(len(clear))) > 0.9


def test_diagnostics_show_what_was_learned(undone):
    said = undone[0].diagnostics
    assert said["training_l1"] < 0.5 * said["training_l1_constant"]
    assert said["training_l1_linear"] < 0.01
    assert said["ssim_gain"] > 0.2


def test_a_constant_image_is_no_failure_of_the_attacker_and_leaves_chance():
    naive, fused = Reversal(ReversalConfig(**QUICK))(attack_setting(constant))
    assert len(np.unique(naive.reconstructions, axis=0)) == 1
    assert tar(naive) == pytest.approx(0.01, abs=0.003)
    assert tar(fused) == pytest.approx(0.01, abs=0.02)


def test_a_training_that_does_not_learn_says_so_except_in_a_rehearsal(hidden, rehearsed):
    broken = brief(learning_rate=1e-9)
    with pytest.raises(AttackFailedError, match="its own training pairs"):
        broken(hidden)
    assert len(broken(rehearsed)) == 2


def test_a_rehearsal_is_brief_however_long_the_training(rehearsed):
    long = brief(images=10**9)
    assert [item.name for item in long(rehearsed)] == ["reversal/naive", "reversal/fused"]


def test_a_loss_that_is_not_finite_says_so_in_a_rehearsal_too(rehearsed):
    broken = copy.deepcopy(rehearsed)
    broken.owned.clear[:] = np.nan
    with pytest.raises(AttackFailedError, match="nan after 0 images"):
        brief()(broken)


def test_same_seed_same_attack_other_seed_another(rehearsed):
    first, second, other = brief()(rehearsed), brief()(rehearsed), brief()(replace(rehearsed, seed=1))
    for one, two, three in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)
        assert not np.array_equal(one.scores, three.scores)


def test_leaves_the_process_its_input_and_the_folder_alone(rehearsed, tmp_path):
    setting = replace(rehearsed, folder=tmp_path)
    untouched = copy.deepcopy(setting)
    torch.manual_seed(0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    brief()(setting)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not any(tmp_path.iterdir())
    for side in ("target", "owned"):
        for name, values in vars(getattr(setting, side)).items():
            np.testing.assert_array_equal(values, getattr(getattr(untouched, side), name))


class Recorder:
    """A launcher that keeps what it was given to run."""

    workers = 1

    def __call__(self, train):
        self.pairs = train.keywords["pairs"]
        LocalLauncher()(train)


def test_takes_as_many_pairs_of_each_person_as_its_strength_says(rehearsed):
    recorder = Recorder()
    brief(images_per_identity=3)(replace(rehearsed, launcher=recorder))
    taken = {image.tobytes() for image in recorder.pairs.clear}
    owned = rehearsed.owned
    held = [image.tobytes() in taken for image in owned.clear_images]
    assert np.bincount(owned.identities[held])[np.unique(owned.identities)].tolist() == [3, 3]
    undone = 255 - recorder.pairs.anonymized[:, :, ::-1]
    np.testing.assert_allclose(undone.astype(int), recorder.pairs.clear.astype(int), atol=1)


@pytest.mark.parametrize("lacking", [{"recognizer": None}, {"target": simulated_setting(lambda x, _: x).target}])
def test_without_images_or_recognizer_it_cannot_attack(rehearsed, lacking):
    with pytest.raises(AttackFailedError, match="recognizer and the images"):
        brief()(replace(rehearsed, **lacking))


def some_pairs(anonymize, count=6):
    faces = FACES.split("attacker").batch(range(count))
    clear = FACES.split("attacker").crops[:count]
    anonymized = np.round((anonymize(faces).numpy() + 1) * 127.5).astype(np.uint8)
    return FacePairs(anonymized, clear, np.zeros((count, 4), np.float32))


def test_the_net_sees_all_orientations_and_the_mean_face():
    pairs = some_pairs(negative_upside_down)
    inverter = Inverter.build(pairs.clear, width=4, seed=0)
    image = torch.rand(1, 3, 112, 112)
    seen = inverter.inputs(image)[0].reshape(9, 3, 112, 112).numpy()
    turned = [np.rot90(image[0].numpy(), quarters, axes=(1, 2)) for quarters in range(4)]
    expected = [*turned, *(np.flip(one, axis=2) for one in turned)]
    np.testing.assert_array_equal(seen[:8], np.stack(expected))
    assert len(np.unique(seen[:8].reshape(8, -1), axis=0)) == 8
    np.testing.assert_allclose(seen[8], pairs.clear.mean(axis=0) / 127.5 - 1, atol=1e-6)


def halved_and_quarter_turned(faces):
    return faces.images.rot90(1, (2, 3)) * 0.5


@pytest.mark.parametrize(
    ("anonymize", "gain"), [(negative_upside_down, 1.0), (halved_and_quarter_turned, 0.97), (constant, 0.0)]
)
def test_the_bar_is_halfway_to_what_a_linear_map_gains(anonymize, gain):
    pairs = some_pairs(anonymize)
    fit = measure_fit(Inverter.build(pairs.clear, width=4, seed=0).eval(), pairs, 4, "cpu")
    clear = pairs.clear / 127.5 - 1
    assert fit.constant == pytest.approx(np.abs(clear - np.median(clear, axis=0)).mean(), abs=1e-6)
    if gain:
        assert 1 - fit.linear / fit.constant > gain - 0.03
    else:
        # Least squares lead to the mean, which is a little worse in L1 than the median.
        assert fit.constant <= fit.linear < 1.1 * fit.constant
    assert fit.inverter > fit.worst_allowed


def plan(**changes):
    return InversionPlan(
        **{
            "images": 24,
            "batch_size": 4,
            "width": 4,
            "learning_rate": 1e-3,
            "identity_weight": 0.0,
            "identity_share": 0.0,
            "seed": 0,
            **changes,
        }
    )


def test_a_batch_that_workers_cannot_share_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="multiple of the 2 workers"):
        train_inverter(
            Runtime(0, 2), plan(batch_size=3), some_pairs(constant), PatternRecognizer(), tmp_path / "w.safetensors"
        )


def test_training_lowers_the_error_and_follows_its_plan_of_images(tmp_path):
    pairs = some_pairs(negative_upside_down)
    errors = []
    for images in (4, 120):
        train_inverter(Runtime(), plan(images=images), pairs, PatternRecognizer(), tmp_path / "w.safetensors")
        inverter = Inverter.build(pairs.clear, width=4, seed=0)
        inverter.load_state_dict(load_file(tmp_path / "w.safetensors"))
        output = inverter(images_to_tensor(pairs.anonymized)).detach()
        errors.append(float((output - images_to_tensor(pairs.clear)).abs().mean()))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.slow
def test_two_workers_train_the_net_of_one(tmp_path):
    task = partial(
        train_inverter,
        # Adam moves a weight whose gradient is all rounding by its whole learning rate: a small one keeps it in bounds.
        plan=plan(identity_weight=0.1, identity_share=0.5, learning_rate=5e-5),
        pairs=replace(some_pairs(negative_upside_down), embeddings=np.ones((6, 147), np.float32) / 147**0.5),
        recognizer=PatternRecognizer(),
    )
    task(Runtime(), weights=tmp_path / "one.safetensors")
    task(Runtime(), plan=replace(task.keywords["plan"], seed=1), weights=tmp_path / "other.safetensors")
    assert run_workers(2, partial(task, weights=tmp_path / "two.safetensors")) == [0, 0]
    one, two, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two", "other"))
    assert max(float((two[name] - values).abs().max()) for name, values in one.items()) < 1e-5
    assert max(float((other[name] - values).abs().max()) for name, values in one.items()) > 1e-2, "nothing is proved"
