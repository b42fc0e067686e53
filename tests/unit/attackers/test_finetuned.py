"""The fine-tuned attacker: what it must undo, what it cannot, and how it fails."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from attack_sets import ColourRecognizer, PatternRecognizer, image_setting, pattern_faces, simulated_setting
from gloo_workers import run_workers

from trainables.attackers.finetuned import FineTuned, FineTunedConfig
from trainables.attackers.finetuning import LabelledFaces, TunedRecognizer, draw_views, fine_tune
from trainables.attackers.orientation import Orientation, find_orientation
from veil.errors import ConfigError
from veil.interfaces import AttackFailedError
from veil.metrics.verification import tar_at_far
from veil.protocol.pairs import compare
from veil.runtime import LocalLauncher, Runtime, load_weights, save_weights

FACES = pattern_faces({"attacker": 8, "search": 10}, noise=0.15)

# The colour recognizer has nine weights, which must move by about one.
QUICK = FineTunedConfig(seeds=1, epochs=4, learning_rate=0.05, max_shift=0)


def tar(comparisons):
    genuine = comparisons.gallery_identities == comparisons.probe_identities
    return tar_at_far(comparisons.scores[genuine], comparisons.scores[~genuine], 0.01)


def frozen_tar(setting):
    target = setting.target
    return tar(compare("naive", target, target.clear, target.anonymized, "probe"))


def attack(setting, config=QUICK):
    return {item.name.removeprefix("finetuned/"): item for item in FineTuned(config)(setting)}


def setting_of(anonymize, **changes):
    return image_setting(anonymize, ColourRecognizer(), FACES, **changes)


def identity(faces):
    return faces.images


def negative_on_its_side(faces):
    return -faces.images.rot90(1, (2, 3))


def blue_noise(faces):
    """Faint reds and greens, and a blue that is another pattern in every image."""
    noise = []
    for image in faces.images:
        generator = torch.Generator().manual_seed(int(image.double().sum().abs() * 1e6))
        noise.append(torch.rand(7, 7, generator=generator).repeat_interleave(16, 0).repeat_interleave(16, 1))
    return torch.cat([0.2 * faces.images[:, :2], 2 * torch.stack(noise)[:, None] - 1], dim=1)


def constant(faces):
    return torch.full_like(faces.images, 0.2)


@pytest.fixture(scope="module")
def noisy():
    return setting_of(blue_noise)


@pytest.fixture(scope="module")
def learned(noisy):
    return attack(noisy, QUICK.model_copy(update={"seeds": 2}))


def test_learns_to_ignore_what_the_anonymizer_adds(noisy, learned):
    target = noisy.target
    parrot = tar(compare("parrot", target, target.anonymized, target.anonymized, "both"))
    assert frozen_tar(noisy) < 0.5
    assert parrot < 0.2
    for name in ("seed0", "seed1", "fused"):
        assert tar(learned[f"{name}/naive"]) > 0.9
        assert tar(learned[f"{name}/parrot"]) > parrot + 0.3


def test_undoes_a_fixed_distortion_that_the_naive_attack_misses():
    setting = setting_of(negative_on_its_side)
    found = attack(setting)
    assert frozen_tar(setting) < 0.05
    assert all(tar(item) > 0.98 for item in found.values())


def test_an_anonymizer_that_does_nothing_stays_near_the_control():
    setting = setting_of(identity)
    control = tar(compare("control", setting.target, setting.target.clear, setting.target.clear, "both"))
    assert all(tar(item) > control - 0.02 for item in attack(setting).values())


def test_a_constant_image_is_no_failure_of_the_attacker():
    for item in attack(setting_of(constant)).values():
        assert tar(item) == pytest.approx(0.01, abs=0.012)


def test_every_seed_attacks_by_itself_and_all_are_fused_beside_the_frozen_recognizer(learned):
    names = ("seed0", "seed1", "fused", "frozen")
    assert list(learned) == [f"{name}/{kind}" for name in names for kind in ("naive", "parrot")]
    assert not np.array_equal(learned["seed0/naive"].scores, learned["seed1/naive"].scores)
    assert learned["fused/naive"].probe_members.shape[1] == QUICK.fused_images


def test_same_seed_same_scores_other_seed_other_scores(noisy):
    config = QUICK.model_copy(update={"epochs": 1, "min_training_accuracy": 0})
    first, second, other = attack(noisy, config), attack(noisy, config), attack(replace(noisy, seed=1), config)
    np.testing.assert_array_equal(first["seed0/naive"].scores, second["seed0/naive"].scores)
    assert not np.array_equal(first["seed0/naive"].scores, other["seed0/naive"].scores)


def test_trains_a_copy():
    setting = setting_of(blue_noise)
    attack(setting)
    assert torch.equal(setting.recognizer.mix, torch.eye(3))
    assert not setting.recognizer.mix.requires_grad


def test_a_training_without_effect_says_so(noisy):
    with pytest.raises(AttackFailedError, match="of its own training images"):
        attack(noisy, QUICK.model_copy(update={"learning_rate": 1e-9}))


def test_a_loss_that_is_not_finite_says_so():
    setting = setting_of(identity)
    setting.owned.clear[0, 0] = np.nan
    with pytest.raises(AttackFailedError, match="nan after 0 images"):
        attack(setting)


def blinding(train):
    """A launcher after which a copy sees no colour at all."""
    LocalLauncher()(train)
    faces, path = train.keywords["faces"], train.keywords["folder"] / "seed0.safetensors"
    tuned = TunedRecognizer(ColourRecognizer(), torch.zeros(147), int(faces.labels.max()) + 1, seed=0)
    load_weights(path, tuned)
    tuned.net.mix.data.zero_()
    save_weights(path, tuned)


def test_a_training_that_went_astray_says_so(noisy):
    with pytest.raises(AttackFailedError, match="of its own training images"):
        attack(replace(noisy, launcher=blinding))


def test_a_rehearsal_does_everything_briefly_and_forgives(noisy, learned):
    seen = []

    def launcher(train):
        seen.append(train.keywords["plan"])
        LocalLauncher()(train)

    brief = replace(noisy, launcher=launcher, rehearsal=True)
    found = attack(brief, QUICK.model_copy(update={"learning_rate": 1e-9, "seeds": 2}))
    assert list(found) == list(learned)
    assert seen[0].images == 2 * QUICK.batch_size


def test_results_come_back_through_the_folder_and_leave_nothing(noisy, tmp_path):
    attack(replace(noisy, folder=tmp_path))
    assert not list(tmp_path.iterdir())


def test_weights_and_images_and_two_people_are_needed(noisy):
    with pytest.raises(AttackFailedError, match="embeddings alone"):
        FineTuned(QUICK)(simulated_setting(lambda clear, people: clear))
    with pytest.raises(AttackFailedError, match="PatternRecognizer has no weights"):
        attack(replace(noisy, recognizer=PatternRecognizer()))
    lone = pattern_faces({"attacker": 1, "search": 10})
    with pytest.raises(AttackFailedError, match="2 people"):
        attack(image_setting(identity, ColourRecognizer(), lone))


def test_a_batch_that_does_not_divide_is_refused(noisy):
    with pytest.raises(ConfigError, match="multiple of the 3 workers"):
        attack(replace(noisy, launcher=lambda train: train(Runtime(rank=0, world_size=3))))


def test_workers_share_the_images_of_one_batch():
    whole = draw_views(seed=3, first=30, count=16, images=20, max_shift=2)
    parts = [draw_views(seed=3, first=first, count=8, images=20, max_shift=2) for first in (30, 38)]
    for name in ("rows", "mirrored", "shifts"):
        np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))
    assert sorted(draw_views(seed=3, first=40, count=20, images=20, max_shift=0).rows) == list(range(20))
    assert 0 <= whole.shifts.min() < whole.shifts.max() <= 4


@pytest.mark.slow
def test_two_workers_equal_one_at_the_same_global_batch(tmp_path):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(24, 147)).astype(np.float32)
    faces = LabelledFaces(
        FACES.crops[:24], targets / np.linalg.norm(targets, axis=1, keepdims=True), np.arange(24, dtype=np.int64) % 3
    )
    plan = replace(QUICK.plan(24, setting_of(identity)), images=48, learning_rate=1e-3, max_shift=2)
    task = partial(fine_tune, plan=plan, recognizer=ColourRecognizer(), centre=np.zeros(147, np.float32), faces=faces)
    assert run_workers(2, partial(task, folder=tmp_path)) == [0, 0]
    (tmp_path / "one").mkdir()
    task(Runtime(), folder=tmp_path / "one")
    two, one = (TunedRecognizer(ColourRecognizer(), torch.zeros(147), 3, seed=0) for _ in range(2))
    load_weights(tmp_path / "seed0.safetensors", two)
    load_weights(tmp_path / "one" / "seed0.safetensors", one)
    torch.testing.assert_close(two.net.mix, one.net.mix, rtol=0, atol=1e-5)
    assert (one.net.mix - torch.eye(3)).abs().max() > 1e-3, "or the comparison proves nothing"


ORIENTATIONS = [Orientation(*parts) for parts in np.ndindex(4, 2, 2)]


@pytest.mark.parametrize("hidden", ORIENTATIONS, ids=str)
def test_every_orientation_is_found_and_undone(hidden):
    clear = FACES.crops[:4]
    published = hidden.apply(clear)
    np.testing.assert_array_equal(find_orientation(published, clear).apply(published), clear)


def test_images_without_content_have_no_orientation():
    clear = FACES.crops[:4]
    assert find_orientation(np.full_like(clear, 90), clear) == Orientation()
