"""From the comparisons of a rung to its score, its interval and its chance floor."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from veil.config import SuiteConfig
from veil.errors import ProtocolError
from veil.interfaces import Comparisons
from veil.metrics.bootstrap import bootstrap_tar_at_far, draw_multiplicities, leave_one_out
from veil.metrics.identification import cmc, rank_k_by_gallery_size
from veil.metrics.intervals import jackknife_interval, paired_difference, rate_interval
from veil.metrics.permutation import permute_labels, permuted_tar_at_far
from veil.metrics.shift import bootstrap_similarity_shift, similarity_shift
from veil.metrics.unlinkability import bootstrap_d_sys, d_sys, permuted_d_sys
from veil.metrics.verification import acceptance_at_far, auc, eer, roc, tar_at_far
from veil.protocol.jobs import is_adaptive
from veil.protocol.score import Estimate, Linkability, RungScore

Floats = NDArray[np.float64]

CONTROL = "A0"

_ROC_FAR = np.concatenate([[0.0], np.logspace(-4, 0, 199)])


class RocCurve(NamedTuple):
    """ROC thinned for plotting.

    Attributes:
        far: (200,), 0 and then 1e-4 to 1 in equal steps of the logarithm.
        tar: (200,).
    """

    far: Floats
    tar: Floats


class Spread(NamedTuple):
    """One quantity in other samples of the people, which are the same for all quantities.

    Attributes:
        left_out: (n,), without each person: gives intervals, and those of differences between trials.
        replicates: (R,), in each bootstrap resample: gives statements over many trials at once, such as a frontier.
    """

    left_out: Floats
    replicates: Floats


class Measured(NamedTuple):
    """A rung with what joint statements over several rungs need.

    Attributes:
        score: the rung's score.
        spread: TAR of other samples of the people.
        floor: (M,), TAR under each permutation of the labels; permutation m is the same for all rungs.
        curve: ROC for plotting.
        cmc: (n,), share of probes whose person is among the k best, for k = 1..n.
        by_person: (n,), TAR of each person's own genuine pairs at the rung's threshold; NaN without such a pair.
    """

    score: RungScore
    spread: Spread
    floor: Floats
    curve: RocCurve
    cmc: Floats
    by_person: Floats


class People:
    """The people under attack, with the resamples and permutations that all rungs share.

    Attributes:
        samples: (n + R, n), weights of the people: without each of them, then in each bootstrap resample.

    Args:
        identities: (N,), person of each image under attack.
        sources: (N,), source of each image under attack.
        suite: replicates, permutations, FAR and seed.
    """

    def __init__(self, identities: NDArray[np.int64], sources: NDArray[np.int64], suite: SuiteConfig) -> None:
        self._suite = suite
        self._names = np.unique(identities)
        # An image is a person in a source: one photograph can show two people.
        self._images = np.unique(self._code(sources, identities))
        owner = np.empty(self._images.size, np.int64)
        owner[self._image(sources, identities)] = self.person(identities)
        self._owner = owner
        resamples = draw_multiplicities(self._names.size, suite.bootstrap_replicates, suite.seed)
        self.samples = np.concatenate([leave_one_out(self._names.size), resamples])
        self._permuted = permute_labels(owner, suite.floor_permutations, suite.seed)

    def person(self, identities: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each person among the people under attack, in 0..n-1."""
        return np.searchsorted(self._names, identities)

    def _code(self, sources: NDArray[np.int64], identities: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(sources, np.int64) * self._names.size + self.person(identities)

    def _image(self, sources: NDArray[np.int64], identities: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._images, self._code(sources, identities))

    def spread(self, values: Floats) -> Spread:
        """Split values (n + R,) under the weights `samples`."""
        return Spread(values[: self._names.size], values[self._names.size :])

    def measure(self, comparisons: Comparisons, rung: str, recognizer: str) -> Measured:
        """Score one rung; the comparisons have passed the guards.

        Raises:
            ProtocolError: the attack compared images of people who are not under attack.
        """
        strangers = np.setdiff1d([comparisons.gallery_identities, comparisons.probe_identities], self._names)
        if strangers.size:
            raise ProtocolError(
                f"attack {comparisons.name!r} compared {strangers.size} people who are not under attack"
            )
        far = self._suite.far
        gallery, probe = self._persons(comparisons)
        gallery_images, probe_images = self._image_pairs(comparisons)
        scores = comparisons.scores
        is_genuine = gallery == probe
        genuine, impostor = scores[is_genuine], scores[~is_genuine]

        spread = self.spread(bootstrap_tar_at_far(scores, gallery, probe, self.samples, far))
        floor = permuted_tar_at_far(
            scores, gallery_images, probe_images, self._owner, self._permuted, comparisons.exchangeable, far
        )
        searches = _searches(comparisons, gallery, probe, gallery_images, probe_images)
        ranks = cmc(*searches)
        sizes = gallery_sizes(ranks.size)
        score = RungScore(
            name=comparisons.name,
            rung=rung,
            recognizer=recognizer,
            tar=estimate_rate(tar_at_far(genuine, impostor, far), spread.left_out),
            eer=eer(genuine, impostor),
            auc=auc(genuine, impostor),
            rank_1=float(ranks[0]),
            rank_5=float(ranks[min(4, ranks.size - 1)]),
            rank_1_by_gallery=dict(
                zip(sizes.tolist(), rank_k_by_gallery_size(*searches, sizes, k=1).tolist(), strict=True)
            ),
            n_identities=int(np.unique(np.concatenate([gallery, probe])).size),
            n_genuine=int(genuine.size),
            n_impostor=int(impostor.size),
            floor_mean=float(np.nanmean(floor)),
            floor_95=float(np.nanquantile(floor, 0.95)),
            diagnostics=comparisons.diagnostics,
        )
        curve = roc(genuine, impostor)
        return Measured(
            score=score,
            spread=spread,
            floor=floor,
            curve=RocCurve(_ROC_FAR, np.interp(_ROC_FAR, curve.far, curve.tar)),
            cmc=ranks,
            by_person=self.mean_by_person(acceptance_at_far(genuine, impostor, far), gallery[is_genuine]),
        )

    def mean_by_person(self, values: Floats, owners: NDArray[np.int64]) -> Floats:
        """Mean of values (N,) over those of each person, (n,); NaN for a person without any.

        Args:
            values: one an image or a pair.
            owners: (N,), person of each, in 0..n-1.
        """
        n = self._names.size
        counts = np.bincount(owners, minlength=n)
        sums = np.bincount(owners, weights=values, minlength=n)
        return np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)

    def linkability(self, comparisons: Comparisons) -> Linkability:
        """How linkable two anonymized images of one person are, from the comparisons of a parrot attack."""
        gallery, probe = self._persons(comparisons)
        gallery_images, probe_images = self._image_pairs(comparisons)
        genuine = gallery == probe
        scores = comparisons.scores
        left_out = bootstrap_d_sys(scores, gallery, probe, leave_one_out(self._names.size))
        floor = permuted_d_sys(
            scores, gallery_images, probe_images, self._owner, self._permuted, comparisons.exchangeable
        )
        return Linkability(
            d_sys=estimate_rate(d_sys(scores[genuine], scores[~genuine]), left_out),
            floor_95=float(np.nanquantile(floor, 0.95)),
        )

    def similarity_shift(self, control: Comparisons, naive: Comparisons) -> Estimate:
        """How far anonymization moves the similarity of genuine pairs, from the control to the naive attack."""
        owners = [self._persons(item) for item in (control, naive)]
        genuine = [gallery == probe for gallery, probe in owners]
        similarities = [item.scores[mask] for item, mask in zip((control, naive), genuine, strict=True)]
        people = [gallery[mask] for (gallery, _), mask in zip(owners, genuine, strict=True)]
        left_out = bootstrap_similarity_shift(
            similarities[0], people[0], similarities[1], people[1], leave_one_out(self._names.size)
        )
        return estimate_number(similarity_shift(*similarities), left_out)

    def _persons(self, comparisons: Comparisons) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.person(comparisons.gallery_identities), self.person(comparisons.probe_identities)

    def _image_pairs(self, comparisons: Comparisons) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return (
            self._image(comparisons.gallery_sources, comparisons.gallery_identities),
            self._image(comparisons.probe_sources, comparisons.probe_identities),
        )


class _Searches(NamedTuple):
    """Pairs (P,) as searches of probes in a gallery."""

    scores: Floats
    gallery: NDArray[np.int64]
    probe_images: NDArray[np.int64]
    probe: NDArray[np.int64]


def _searches(
    comparisons: Comparisons,
    gallery: NDArray[np.int64],
    probe: NDArray[np.int64],
    gallery_images: NDArray[np.int64],
    probe_images: NDArray[np.int64],
) -> _Searches:
    if comparisons.exchangeable != "both":
        return _Searches(comparisons.scores, gallery, probe_images, probe)
    # One set against itself lists each pair once; either image can be the probe.
    return _Searches(
        np.concatenate([comparisons.scores, comparisons.scores]),
        np.concatenate([gallery, probe]),
        np.concatenate([probe_images, gallery_images]),
        np.concatenate([probe, gallery]),
    )


def gallery_sizes(people: int) -> NDArray[np.int64]:
    """Numbers of people at which identification is reported.

    >>> gallery_sizes(10).tolist()
    [2, 4, 8, 10]
    """
    return np.unique(np.append(2 ** np.arange(1, int(np.log2(max(people, 2))) + 1), people))


def estimate_rate(value: float, left_out: Floats) -> Estimate:
    """Rate in [0, 1] with its interval over people.

    Args:
        value: from all people.
        left_out: (n,), without each person.

    Raises:
        ProtocolError: there are too few people for an interval.
    """
    try:
        low, high = rate_interval(value, left_out)
    except ValueError as error:
        raise ProtocolError(f"no interval can be given: {error}; put more people into the split") from None
    return Estimate(value=value, low=low, high=high)


def estimate_number(value: float, left_out: Floats) -> Estimate:
    """Unbounded quantity with its interval over people; as `estimate_rate` otherwise.

    Raises:
        ProtocolError: there are too few people for an interval.
    """
    try:
        low, high = jackknife_interval(value, left_out)
    except ValueError as error:
        raise ProtocolError(f"no interval can be given: {error}; put more people into the split") from None
    return Estimate(value=value, low=low, high=high)


class Leak(NamedTuple):
    """The worst rung from A1 on.

    Attributes:
        estimate: its TAR, with the interval of the maximum, which is chosen anew without each person.
        strongest: the rung.
        by_person: (n,), TAR of each person's own pairs in that rung; NaN without such a pair.
        spread: the maximum in other samples of the people.
        floor_mean, floor_95: mean and 95th percentile of the maximum over rungs under permuted labels.
    """

    estimate: Estimate
    strongest: RungScore
    by_person: Floats
    spread: Spread
    floor_mean: float
    floor_95: float


def worst_case(measured: Sequence[Measured]) -> Leak | None:
    """Maximum over all rungs but the control and over all recognizers; None if only controls were measured.

    The interval is that of the maximum itself: the interval of one rung would hide that the attacker may choose.
    """
    attacks = [item for item in measured if item.score.rung != CONTROL]
    if not attacks:
        return None
    strongest = max(attacks, key=lambda item: item.score.tar.value)
    spread = _largest(attacks)
    floor = np.fmax.reduce([item.floor for item in attacks])
    return Leak(
        estimate=estimate_rate(strongest.score.tar.value, spread.left_out),
        strongest=strongest.score,
        by_person=strongest.by_person,
        spread=spread,
        floor_mean=float(np.nanmean(floor)),
        floor_95=float(np.nanquantile(floor, 0.95)),
    )


def recovery_gap(measured: Sequence[Measured]) -> Estimate | None:
    """How much more the best adaptive attack (from A4 on) finds than the best fixed one (A1 to A3).

    The interval is paired: both maxima are taken over the same people. None if one kind is missing.
    """
    fixed = [item for item in measured if item.score.rung != CONTROL and not is_adaptive(item.score.rung)]
    adaptive = [item for item in measured if is_adaptive(item.score.rung)]
    if not fixed or not adaptive:
        return None
    values = [max(item.score.tar.value for item in kind) for kind in (adaptive, fixed)]
    gap = paired_difference(values[0], _largest(adaptive).left_out, values[1], _largest(fixed).left_out)
    return Estimate(value=gap.value, low=gap.low, high=gap.high)


def weakest_control(measured: Sequence[Measured]) -> Spread:
    """The smallest control TAR of all recognizers, in other samples of the people."""
    return _extreme([item for item in measured if item.score.rung == CONTROL], np.fmin)


def _largest(measured: Sequence[Measured]) -> Spread:
    return _extreme(measured, np.fmax)


def _extreme(measured: Sequence[Measured], pick: np.ufunc) -> Spread:
    # fmax and fmin ignore a rung that has no genuine pair in a sample.
    left_out, replicates = (pick.reduce([getattr(item.spread, kind) for item in measured]) for kind in Spread._fields)
    return Spread(left_out, replicates)
