"""The informed attacker: what it must find, what it must not, and how it fails."""

import numpy as np
import pytest
import torch
from attack_sets import rotation, simulated_setting, unit

from trainables.attackers.heads import Head, TrainingSet, ridge_registration, train_heads
from trainables.attackers.informed import Informed, InformedConfig, assign_folds
from veil.interfaces import AttackFailedError, AttackSet, AttackSetting
from veil.metrics.verification import tar_at_far
from veil.protocol.pairs import compare


def tar(comparisons):
    genuine = comparisons.gallery_identities == comparisons.probe_identities
    return tar_at_far(comparisons.scores[genuine], comparisons.scores[~genuine], 0.01)


def rotated(clear, people):
    """A fixed re-encoding of every face, with noise: the recognizer no longer sees who it is, yet nothing is lost."""
    return unit(clear @ rotation() + 0.05 * np.random.default_rng(3).normal(size=clear.shape))


def shifted(clear, people):
    """Every face moves the same way and keeps a little of itself, as under blur."""
    rng = np.random.default_rng(4)
    common = 2.0 * unit(rng.normal(size=(1, clear.shape[1])))
    # Only a subspace survives, and the rest is noise that the attacker must learn to ignore.
    keep = rotation(2)[:, :16] @ rotation(2)[:, :16].T
    return unit(common + clear @ keep + 0.15 * rng.normal(size=clear.shape) @ (np.eye(len(keep)) - keep))


@pytest.mark.parametrize(
    "strength",
    [
        {"head": "linear"},
        {"head": "mlp"},
        {"loss": "softmax"},
        {"loss": "arcface", "margin": 0.0},
        {"images_per_identity": 6},
    ],
    ids=["linear", "mlp", "softmax", "cosine", "six images a person"],
)
def test_undoes_a_fixed_rotation_that_the_naive_attack_misses(strength):
    setting = simulated_setting(rotated)
    naive = tar(compare("naive", setting.target, setting.target.clear, setting.target.anonymized, "probe"))
    found = {item.name: tar(item) for item in Informed(InformedConfig(**strength))(setting)}
    assert naive < 0.05
    assert found["informed/open_set/registered"] > naive + 0.4
    assert found["informed/closed_set"] > 0.95
    assert found["informed/open_set/parrot"] > 0.9


def test_learns_to_ignore_what_the_anonymizer_adds():
    setting = simulated_setting(shifted)
    parrot = tar(compare("parrot", setting.target, setting.target.anonymized, setting.target.anonymized, "both"))
    found = {item.name: tar(item) for item in Informed(InformedConfig())(setting)}
    assert found["informed/open_set/parrot"] > parrot + 0.15
    assert found["informed/closed_set"] > parrot + 0.4


def test_same_seed_same_scores_other_seed_other_scores():
    setting = simulated_setting(shifted)
    other = AttackSetting(setting.target, setting.owned, seed=1)
    attacker = Informed(InformedConfig(epochs=20, min_clear_accuracy=0.0))
    first, second, third = attacker(setting), attacker(setting), attacker(other)
    for one, two, three in zip(first, second, third, strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)
        if one.name != "informed/open_set/registered":  # closed form
            assert not np.array_equal(one.scores, three.scores)


def test_random_state_and_threads_of_the_process_are_left_alone():
    torch.manual_seed(0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    Informed(InformedConfig(epochs=2, min_clear_accuracy=0.0))(simulated_setting(rotated))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_constant_image_is_no_failure_of_the_attacker():
    setting = simulated_setting(lambda clear, people: np.tile(clear[:1], (len(clear), 1)))
    for item in Informed(InformedConfig())(setting):
        assert tar(item) == pytest.approx(0.01, abs=0.003)


def test_an_attacker_that_does_not_learn_says_so():
    with pytest.raises(AttackFailedError, match="clear training images"):
        Informed(InformedConfig(epochs=1, learning_rate=1e-6))(simulated_setting(lambda clear, people: clear))


def test_a_loss_that_is_not_finite_says_so():
    setting = simulated_setting(lambda clear, people: clear)
    setting.owned.anonymized[0, 0] = np.nan
    with pytest.raises(AttackFailedError, match="finite"):
        Informed(InformedConfig())(setting)


def test_one_owned_person_is_too_few():
    with pytest.raises(AttackFailedError, match="2 people"):
        Informed(InformedConfig())(simulated_setting(lambda clear, people: clear, n_owned=1))


def test_people_with_one_image_only_cannot_be_attacked_in_the_closed_set():
    setting = simulated_setting(lambda clear, people: clear)
    first = np.unique(setting.target.identities, return_index=True)[1]
    lone = AttackSet(
        *(getattr(setting.target, name)[first] for name in ("identities", "sources", "clear", "anonymized"))
    )
    with pytest.raises(AttackFailedError, match="at least 2 images"):
        Informed(InformedConfig())(AttackSetting(lone, setting.owned, 0))


def test_every_image_is_probed_once_against_other_folds_only():
    setting = simulated_setting(lambda clear, people: clear)
    closed = Informed(InformedConfig(epochs=30))(setting)[-1]
    probes, counts = np.unique(closed.probe_sources, return_counts=True)
    assert probes.size == 100
    assert (counts == 80).all()  # ten people, eight enrolled images each
    assert not (closed.gallery_sources == closed.probe_sources).any()
    pairs = closed.gallery_sources * 1000 + closed.probe_sources
    assert np.unique(pairs).size == pairs.size


def test_enrolment_is_limited_by_the_setting():
    setting = simulated_setting(lambda clear, people: clear)
    closed = Informed(InformedConfig(epochs=30, enrolment_images=3, min_clear_accuracy=0.0))(setting)[-1]
    assert (np.unique(closed.probe_sources, return_counts=True)[1] == 30).all()


def test_folds_are_even_and_keep_renderings_of_a_source_together():
    identities = np.repeat([0, 1, 2], [10, 6, 2])
    sources = np.array([*range(10), 20, 20, 21, 21, 22, 22, 30, 30])
    folds = assign_folds(identities, sources, 5, np.random.default_rng(0))
    assert (np.bincount(folds[:10], minlength=5) == 2).all()
    assert folds[10] == folds[11] and folds[12] == folds[13] and folds[14] == folds[15]
    assert len({folds[10], folds[12], folds[14]}) == 3
    assert (folds[16:] == -1).all(), "one source cannot be both enrolled and probed"


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_head_starts_as_the_identity(kind):
    head = Head(kind, 8, 4, torch.Generator().manual_seed(0))
    rows = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    torch.testing.assert_close(head(rows), rows)


def test_a_strong_anchor_holds_the_heads_at_the_identity():
    setting = simulated_setting(rotated)
    labels = np.unique(setting.owned.identities, return_inverse=True)[1].astype(np.int64)
    clear = TrainingSet(setting.owned.clear.astype(np.float64), labels)
    anonymized = TrainingSet(setting.owned.anonymized.astype(np.float64), labels)
    settings = InformedConfig(anchor=1e3).head_settings()
    heads = train_heads(clear, anonymized, settings, seed=0)
    np.testing.assert_allclose(heads.map_clear(clear.embeddings), unit(clear.embeddings), atol=0.05)


def test_registration_solves_the_ridge_problem():
    rng = np.random.default_rng(0)
    anonymized, clear = rng.normal(size=(30, 6)), rng.normal(size=(30, 6))
    ridge = 0.7
    # The same problem as ordinary least squares with rows sqrt(ridge) (I -> I) added.
    rows = np.concatenate([anonymized, np.sqrt(ridge) * np.eye(6)])
    targets = np.concatenate([clear, np.sqrt(ridge) * np.eye(6)])
    expected = np.linalg.lstsq(rows, targets, rcond=None)[0]
    np.testing.assert_allclose(ridge_registration(anonymized, clear, ridge), expected)
    np.testing.assert_allclose(ridge_registration(anonymized, clear, 1e9), np.eye(6), atol=1e-6)
