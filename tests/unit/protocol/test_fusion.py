"""Templates of several images never share a photo, and pooled evidence is worth more, but only where there is some."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import zscore

from veil.errors import ProtocolError
from veil.interfaces import AttackSet, Comparisons
from veil.metrics.verification import tar_at_far
from veil.protocol.fusion import compare_fused, fuse_recognizers
from veil.protocol.pairs import compare

SIZE = 32


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clusters(images, noise=0.0, seed=0, sources=None):
    """People with the given numbers of images; their anonymized embeddings are the clear ones with noise of their own.

    Args:
        images: images of each person.
        noise: length of the noise over that of a person's own direction.
        sources: source image of each image; None gives each its own.
    """
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(len(images)), images)
    centres = unit(rng.normal(size=(len(images), SIZE)))

    def view():
        return unit(centres[identities] + noise * SIZE**-0.5 * rng.normal(size=(identities.size, SIZE)))

    return AttackSet(identities, np.arange(identities.size) if sources is None else sources, view(), view())


def fused(people, exchangeable="probe", images=3, seed=0):
    gallery = people.anonymized if exchangeable == "both" else people.clear
    return compare_fused("fused", people, gallery, people.anonymized, exchangeable, images, seed)


def tar(comparisons):
    genuine = comparisons.gallery_identities == comparisons.probe_identities
    return tar_at_far(comparisons.scores[genuine], comparisons.scores[~genuine], 0.01)


def template_sizes(members):
    """Images in each template; a template that is smaller than the largest repeats its own image."""
    return np.array([len(set(row)) for row in members.tolist()])


@given(
    images=st.lists(st.integers(1, 7), min_size=2, max_size=5),
    most=st.integers(2, 5),
    shared=st.booleans(),
    exchangeable=st.sampled_from(["probe", "gallery", "both"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_no_photo_is_on_both_sides_of_a_pair_or_twice_in_a_template(images, most, shared, exchangeable, seed):
    total = sum(images)
    # Two renderings of one photo, or two people in it.
    sources = np.random.default_rng(seed).integers(0, max(2, total - 2), total) if shared else None
    people = clusters(images, noise=1.0, seed=seed % 1000, sources=sources)
    found = fused(people, exchangeable, most, seed)
    single = compare("single", people, people.clear, people.anonymized, exchangeable)
    owners = {}
    for source, person in zip(people.sources.tolist(), people.identities.tolist(), strict=True):
        owners.setdefault(source, set()).add(person)
    for side in ("gallery_sources", "probe_sources", "gallery_identities", "probe_identities"):
        np.testing.assert_array_equal(getattr(found, side), getattr(single, side))
    rows = zip(found.gallery_members.tolist(), found.probe_members.tolist(), strict=True)
    for index, (gallery, probe) in enumerate(rows):
        assert not set(gallery) & set(probe)
        for members, own, person in (
            (gallery, found.gallery_sources[index], found.gallery_identities[index]),
            (probe, found.probe_sources[index], found.probe_identities[index]),
        ):
            assert members[0] == own
            assert len(members) == most
            assert all(person in owners[source] for source in members)
            companions = [source for source in members[1:] if source != own]
            assert len(set(companions)) == len(companions)
        # Unequal templates would tell genuine pairs from impostors by their size alone.
        assert shared or len(set(gallery)) == len(set(probe))


@pytest.mark.parametrize("count", range(2, 11))
@pytest.mark.parametrize("most", [2, 3, 4])
def test_a_person_with_few_images_leaves_half_of_them_to_the_other_side(count, most):
    found = fused(clusters([count, count]), images=most)
    expected = max(1, min(most, count // 2))
    for members in (found.gallery_members, found.probe_members):
        assert members.shape[1] == most
        assert set(template_sizes(members)) == {expected}


def test_the_smaller_person_sets_the_size_of_both_templates():
    found = fused(clusters([2, 4, 10]), images=3)
    smaller = np.minimum(found.gallery_identities, found.probe_identities)
    expected = np.array([1, 2, 3])[smaller]
    np.testing.assert_array_equal(template_sizes(found.gallery_members), expected)
    np.testing.assert_array_equal(template_sizes(found.probe_members), expected)


def test_scores_are_cosines_of_mean_embeddings():
    people = clusters([2, 5, 8], noise=1.0)
    found = fused(people, images=3)
    for index in range(0, found.scores.size, 7):
        gallery = people.clear[sorted(set(found.gallery_members[index]))].mean(axis=0)
        probe = people.anonymized[sorted(set(found.probe_members[index]))].mean(axis=0)
        cosine = gallery @ probe / np.linalg.norm(gallery) / np.linalg.norm(probe)
        assert found.scores[index] == pytest.approx(cosine, abs=1e-8)


def test_a_person_with_one_image_is_compared_as_it_is():
    people = clusters([1, 1, 1], noise=1.0)
    single = compare("single", people, people.clear, people.anonymized, "probe")
    np.testing.assert_allclose(fused(people).scores, single.scores, atol=1e-9)


@pytest.mark.parametrize("exchangeable", ["probe", "both"])
def test_several_noisy_images_say_more_than_one(exchangeable):
    people = clusters([10] * 12, noise=3.0)
    gallery = people.anonymized if exchangeable == "both" else people.clear
    single = tar(compare("single", people, gallery, people.anonymized, exchangeable))
    by_size = [tar(fused(people, exchangeable, images)) for images in (2, 3, 5)]
    assert single < 0.4
    assert by_size[0] > single + 0.05
    assert sorted(by_size) == by_size


def test_images_that_tell_nothing_stay_at_chance_in_templates():
    rates = []
    for seed in range(5):
        people = clusters([10] * 12, noise=1.0, seed=seed)
        noise = unit(np.random.default_rng(100 + seed).normal(size=people.anonymized.shape))
        rates.append(tar(fused(replace(people, anonymized=noise), seed=seed)))
    assert np.mean(rates) == pytest.approx(0.01, abs=0.01)


def test_a_constant_image_stays_at_chance_in_templates():
    people = clusters([10] * 12, noise=1.0)
    constant = np.tile(unit(np.ones((1, SIZE))), (len(people.identities), 1))
    assert tar(fused(replace(people, anonymized=constant), "both")) == pytest.approx(0.01)
    assert tar(fused(replace(people, anonymized=constant))) == pytest.approx(0.01, abs=0.015)


def test_same_seed_same_companions_other_seed_others():
    people = clusters([8] * 4, noise=1.0)
    one, two, other = fused(people, seed=1), fused(people, seed=1), fused(people, seed=2)
    np.testing.assert_array_equal(one.gallery_members, two.gallery_members)
    np.testing.assert_array_equal(one.scores, two.scores)
    assert not np.array_equal(one.gallery_members, other.gallery_members)
    assert set(one.gallery_members[:, 1:].ravel()) == set(people.sources), "some image is never a companion"


@pytest.mark.parametrize("images", [1, 0, -3])
def test_a_template_of_one_image_is_no_fusion(images):
    with pytest.raises(ValueError, match="at least 2 images"):
        fused(clusters([4, 4]), images=images)


def recognized(noise, seed):
    people = clusters([10] * 12, noise=0.0)
    rng = np.random.default_rng(seed)
    noisy = unit(people.clear + noise * SIZE**-0.5 * rng.normal(size=people.clear.shape))
    return compare("naive", people, people.clear, noisy, "probe", {"recognizer": float(seed)})


def test_recognizers_are_pooled_as_the_mean_of_standard_scores():
    parts = [recognized(4.0, seed) for seed in range(3)]
    # Another recognizer's cosines may lie in another range; that must not give it more weight.
    parts[1] = replace(parts[1], scores=0.9 + 0.001 * parts[1].scores)
    found = fuse_recognizers("ensemble", parts)
    np.testing.assert_allclose(found.scores, np.mean([zscore(part.scores) for part in parts], axis=0), atol=1e-8)
    assert found.name == "ensemble"
    assert found.diagnostics == {"recognizers": 3.0}
    assert found.reconstructions is None
    assert tar(found) > max(tar(part) for part in parts) + 0.05


def test_the_order_of_recognizers_does_not_matter():
    parts = [recognized(4.0, seed) for seed in range(3)]
    one, other = fuse_recognizers("ensemble", parts), fuse_recognizers("ensemble", parts[::-1])
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-8)


def test_a_recognizer_that_sees_nothing_adds_nothing():
    informed = recognized(2.0, 0)
    blind = replace(informed, scores=np.full_like(informed.scores, 0.7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tar(fuse_recognizers("ensemble", [informed, blind])) == tar(informed)
        assert tar(fuse_recognizers("ensemble", [blind, blind])) == pytest.approx(0.01)


@pytest.mark.parametrize("side", ["gallery_sources", "probe_sources"])
def test_recognizers_that_compared_other_pairs_are_refused(side):
    first = recognized(2.0, 0)
    shuffled = replace(first, **{side: getattr(first, side)[::-1]})
    with pytest.raises(ProtocolError, match="'ensemble' compared different pairs"):
        fuse_recognizers("ensemble", [first, shuffled])


def test_recognizers_that_compared_fewer_pairs_are_refused():
    first = recognized(2.0, 0)
    fewer = Comparisons("naive", *(getattr(first, name)[:-1] for name in (
        "scores", "gallery_identities", "probe_identities", "gallery_sources", "probe_sources"
    )))  # fmt: skip
    with pytest.raises(ProtocolError, match="different pairs"):
        fuse_recognizers("ensemble", [first, fewer])
