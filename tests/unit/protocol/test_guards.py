"""Each guard refuses what it must, names it, and lets the rest pass."""

from dataclasses import replace

import numpy as np
import pytest
from attack_sets import pattern_faces, simulated_setting

from veil.errors import ProtocolError
from veil.faces.pixels import PixelStore
from veil.faces.table import FaceTable
from veil.interfaces import SubjectPool
from veil.protocol.fusion import compare_fused
from veil.protocol.guards import (
    check_blackout,
    check_comparisons,
    check_control,
    check_disjoint_identities,
    check_distinct_models,
    check_no_judge_steers,
    check_subject_pool,
    count_source_pairs,
)
from veil.protocol.score import Estimate, RungScore
from veil.registry import attackers


def comparisons(name="parrot", n_target=10):
    attacker = attackers.get(name)
    setting = simulated_setting(lambda clear, people: clear, n_target=n_target)
    return attacker(attacker.Config())(setting)[-1]


@pytest.mark.parametrize("name", ["control", "naive", "reverse", "parrot", "informed"])
def test_ten_people_of_ten_images_suffice_for_one_percent(name):
    check_comparisons(comparisons(name), far=0.01, min_false_accepts=30)


def test_both_directions_of_a_pair_count_once():
    naive, parrot = comparisons("naive"), comparisons("parrot")
    impostors = naive.gallery_identities != naive.probe_identities
    assert impostors.sum() == 9000
    assert count_source_pairs(naive, impostors) == 4500
    assert count_source_pairs(parrot, parrot.gallery_identities != parrot.probe_identities) == 4500


@pytest.mark.parametrize("name", ["naive", "parrot", "informed"])
def test_too_few_impostors_for_the_far_are_refused(name):
    with pytest.raises(ProtocolError, match="false accepts"):
        check_comparisons(comparisons(name, n_target=6), far=0.01, min_false_accepts=30)


def test_one_source_on_both_sides_is_refused():
    good = comparisons()
    probe = good.probe_sources.copy()
    probe[7] = good.gallery_sources[7]
    with pytest.raises(ProtocolError, match="one source image"):
        check_comparisons(replace(good, probe_sources=probe), 0.01, 30)


def test_scores_that_are_not_finite_are_refused():
    good = comparisons()
    scores = good.scores.copy()
    scores[0] = np.nan
    with pytest.raises(ProtocolError, match="finite"):
        check_comparisons(replace(good, scores=scores), 0.01, 30)


def test_no_genuine_pair_is_refused():
    good = comparisons()
    with pytest.raises(ProtocolError, match="genuine"):
        check_comparisons(replace(good, probe_identities=good.gallery_identities + 100), 0.01, 30)


def test_a_person_in_two_splits_is_refused():
    faces = pattern_faces({"train": 2, "attacker": 2, "search": 2, "sealed": 2}, images=2)
    check_disjoint_identities(faces)
    names = [name.replace("search00", "train01") for name in faces.rows["identity"].to_pylist()]
    index = faces.rows.schema.get_field_index("identity")
    rows = faces.rows.set_column(index, faces.rows.schema.field(index), [names])
    mixed = FaceTable(rows, faces.contract_hash, PixelStore([], 1))
    with pytest.raises(ProtocolError, match=r"train01.*'train' and 'search'"):
        check_disjoint_identities(mixed)


def test_one_model_under_two_names_is_refused():
    check_distinct_models({"a": "1"}, {"b": "2"})
    with pytest.raises(ProtocolError, match=r"'a'.*'b'"):
        check_distinct_models({"a": "1"}, {"b": "1"})


@pytest.mark.parametrize(
    ("models", "refused"),
    [
        ({}, None),
        ({"teacher": "9"}, None),
        ({"teacher": "9", "mine": "1"}, r"'mine'.*recognizer 'a'.*`roles.search` or `roles.report`"),
        ({"a": "3"}, r"'a'.*evaluator 'e'.*`roles.evaluator`"),
    ],
)
def test_a_net_that_steers_may_not_judge_whatever_its_name(models, refused):
    if refused is None:
        check_no_judge_steers(models, {"a": "1", "b": "2"}, ("e", "3"))
    else:
        with pytest.raises(ProtocolError, match=refused):
            check_no_judge_steers(models, {"a": "1", "b": "2"}, ("e", "3"))


def rung(tar, name="control", level="A0"):
    return RungScore(
        name=name, rung=level, recognizer="r", tar=Estimate(value=tar, low=tar, high=tar), eer=0, auc=1, rank_1=1,
        rank_5=1, n_identities=10, n_genuine=450, n_impostor=4500, floor_mean=0.01, floor_95=0.02,
    )  # fmt: skip


def test_a_weak_or_absent_control_is_refused():
    check_control([rung(0.96), rung(0.1, "naive", "A1")], 0.95)
    with pytest.raises(ProtocolError, match="A0 control"):
        check_control([rung(0.96), rung(0.94)], 0.95)
    with pytest.raises(ProtocolError, match="no A0"):
        check_control([rung(0.99, "naive", "A1")], 0.95)


def test_a_blackout_that_leaks_is_refused():
    check_blackout(Estimate(value=0.012, low=0.01, high=0.03), floor_95=0.011, far=0.01)
    with pytest.raises(ProtocolError, match="blackout not at the floor"):
        check_blackout(Estimate(value=0.2, low=0.1, high=0.3), floor_95=0.05, far=0.01)


def test_a_pool_that_gives_no_k_anonymity_is_refused():
    pool = [f"pool{person}" for person in range(12)]
    check_subject_pool(SubjectPool(pool, k=5), ["a", "b"])
    with pytest.raises(ProtocolError, match=r"2 images of 'pool3'"):
        check_subject_pool(SubjectPool([*pool, "pool3"], k=5), ["a"])
    with pytest.raises(ProtocolError, match="also judged, for example 'pool7'"):
        check_subject_pool(SubjectPool(pool, k=5), ["a", "pool7"])
    for k in (1, 12, 40):
        with pytest.raises(ProtocolError, match=f"k is {k}"):
            check_subject_pool(SubjectPool(pool, k=k), ["a"])
    # Each sub-pool by itself: a person may be in both, but not twice in one, and both must be larger than k.
    parts = ["happy"] * 6 + ["sad"] * 6
    check_subject_pool(SubjectPool([*pool[:6], *pool[:6]], 5, parts), ["a"])
    with pytest.raises(ProtocolError, match=r"pool 'sad' holds 2 images of 'pool3'"):
        check_subject_pool(SubjectPool([*pool, "pool3", "pool3"], 5, [*parts, "sad", "sad"]), ["a"])
    with pytest.raises(ProtocolError, match=r"k is 5, .* the 5 people of the k-Same pool 'sad'"):
        check_subject_pool(SubjectPool(pool[:11], 5, parts[:11]), ["a"])


def test_a_source_in_both_templates_of_a_pair_is_refused():
    people = simulated_setting(lambda clear, people: clear).target
    good = compare_fused("fused", people, people.clear, people.anonymized, "probe", images=3, seed=0)
    check_comparisons(good, 0.01, 30)
    members = good.probe_members.copy()
    members[11, 2] = good.gallery_members[11, 1]
    with pytest.raises(ProtocolError, match="fuses one source image"):
        check_comparisons(replace(good, probe_members=members), 0.01, 30)
