"""Refusals: each guard raises ProtocolError where a number would not mean what it says."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from veil.errors import DataError, ProtocolError
from veil.faces.table import FaceTable
from veil.interfaces import Comparisons, SubjectPool
from veil.protocol.pairs import PAIRS_AT_ONCE
from veil.protocol.score import Estimate, RungScore

SPLITS = ("train", "attacker", "search", "sealed")


def check_disjoint_identities(faces: FaceTable) -> None:
    """Refuse a person who is in two splits: training on a target is not anonymizing a stranger."""
    home: dict[str, str] = {}
    for split in SPLITS:
        for person in sorted(set(_identities(faces, split))):
            other = home.setdefault(person, split)
            if other != split:
                raise ProtocolError(
                    f"person {person!r} is in the splits {other!r} and {split!r}; splits must be disjoint by identity: "
                    "prepare the faces again"
                )


def _identities(faces: FaceTable, split: str) -> Sequence[str]:
    try:
        return faces.split(split).identities
    except DataError:
        return ()  # a table without this split has nobody in it


def check_distinct_models(recognizers: Mapping[str, str], proxies: Mapping[str, str]) -> None:
    """Refuse a scoring recognizer with the weights of one inside the loss.

    Args:
        recognizers: SHA-256 of the weights by name, of the models that score.
        proxies: the same for the models inside the loss.
    """
    for name, weights in recognizers.items():
        for proxy, proxy_weights in proxies.items():
            if weights == proxy_weights:
                raise ProtocolError(
                    f"recognizer {name!r} scores and has the same weights as {proxy!r}, which is inside the loss; "
                    "change `roles.search` or `roles.proxies`"
                )


def check_no_judge_steers(
    models: Mapping[str, str], recognizers: Mapping[str, str], evaluator: tuple[str, str]
) -> None:
    """Refuse an anonymizer that looks at the clear image through a net that also judges it.

    What such a net sees in the clear image, the generator can paint for that net alone.

    Args:
        models: SHA-256 of the weights by name, of the nets that the anonymizer looks through.
        recognizers: the same of all that score, here or on other people of the study.
        evaluator: name and SHA-256 of the expression net that scores.
    """
    judges = [(name, sha, "recognizer", "`roles.search` or `roles.report`") for name, sha in recognizers.items()]
    judges.append((*evaluator, "evaluator", "`roles.evaluator`"))
    for name, weights in models.items():
        for judge, judge_weights, role, setting in judges:
            if weights == judge_weights:
                raise ProtocolError(
                    f"the anonymizer looks at the clear image through {name!r}, which has the same weights as the "
                    f"{role} {judge!r}: no net judges what it has itself steered; change {setting}, or the "
                    "conditioning of the anonymizer"
                )


def check_subject_pool(pool: SubjectPool, judged: Iterable[str]) -> None:
    """Refuse a pool without k-anonymity (Newton, Sweeney, Malin: Preserving privacy by de-identifying faces, 2005).

    A person who is in the pool several times is averaged with themselves; one who is in the gallery meets their own
    image; k as large as the pool gives everybody the same image, or with a repeated pool the original. Each sub-pool
    must be k-anonymous by itself (Gross, Airoldi, Malin, Sweeney: Integrating utility into face de-identification,
    2005).

    Args:
        pool: what the anonymizer mixes.
        judged: people whose images are attacked or held by attackers.
    """
    shared = sorted(set(pool.identities) & set(judged))
    if shared:
        raise ProtocolError(
            f"the k-Same pool holds {len(shared)} people who are also judged, for example {shared[0]!r}; take the pool "
            "from the train split"
        )
    parts: dict[str, Counter[str]] = {}
    for person, part in zip(pool.identities, pool.parts or [""] * len(pool.identities), strict=True):
        parts.setdefault(part, Counter())[person] += 1
    for part, people in parts.items():
        name = f"k-Same pool {part!r}" if part else "k-Same pool"
        repeated = sorted(person for person, count in people.items() if count > 1)
        if repeated:
            raise ProtocolError(
                f"the {name} holds {people[repeated[0]]} images of {repeated[0]!r} ({len(repeated)} people are "
                "repeated); k-anonymity needs one image a person"
            )
        if not 2 <= pool.k < len(people):
            raise ProtocolError(
                f"k is {pool.k}, expected at least 2 and fewer than the {len(people)} people of the {name}; lower k "
                "or enlarge the pool with more people in the train split (`data.splits.train`)"
            )


def check_comparisons(comparisons: Comparisons, far: float, min_false_accepts: int) -> None:
    """Refuse comparisons that are malformed, compare a source with itself, or are too few for the FAR."""
    name = comparisons.name
    if (comparisons.gallery_sources == comparisons.probe_sources).any():
        raise ProtocolError(f"attack {name!r} compares two renderings of one source image")
    if comparisons.gallery_members is not None and comparisons.probe_members is not None:
        for start in range(0, len(comparisons.scores), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            gallery, probe = comparisons.gallery_members[part], comparisons.probe_members[part]
            if (gallery[:, :, None] == probe[:, None, :]).any():
                raise ProtocolError(f"attack {name!r} fuses one source image into both sides of a pair")
    if not np.isfinite(comparisons.scores).all():
        raise ProtocolError(f"attack {name!r} gave scores that are not finite")
    genuine = comparisons.genuine
    if not genuine.any():
        raise ProtocolError(f"attack {name!r} has no genuine pair; every person needs at least 2 images")
    expected = far * count_source_pairs(comparisons, ~genuine)
    if expected < min_false_accepts - 1e-9:
        raise ProtocolError(
            f"attack {name!r} expects only {expected:.1f} false accepts at FAR {far:g}, fewer than "
            f"{min_false_accepts}: its TAR would rest on too few impostors; put more people into the split, raise "
            "`suite.far` or lower `suite.min_false_accepts`"
        )


def count_source_pairs(comparisons: Comparisons, chosen: np.ndarray) -> int:
    """Number of distinct unordered pairs of source images among the chosen comparisons.

    The same two photographs compared both ways round, or under two heads, are one piece of evidence, not two.
    """
    gallery, probe = comparisons.gallery_sources[chosen], comparisons.probe_sources[chosen]
    first, second = np.minimum(gallery, probe).astype(np.int64), np.maximum(gallery, probe).astype(np.int64)
    if first.size == 0:
        return 0
    return int(np.unique(first * (int(second.max()) + 1) + second).size)


def check_control(rungs: Sequence[RungScore], min_tar: float) -> None:
    """Refuse to call anything private where the recognizer does not even know clear faces."""
    controls = [rung for rung in rungs if rung.rung == "A0"]
    if not controls:
        raise ProtocolError("no A0 control was measured")
    for rung in controls:
        if rung.tar.value < min_tar:
            raise ProtocolError(
                f"A0 control of {rung.recognizer!r} is {rung.tar.value:.3f}, below {min_tar:g}: the recognizer fails "
                "on clear faces, so a low leak would prove nothing; choose another recognizer or better crops"
            )


def check_blackout(leak: Estimate, floor_95: float, far: float) -> None:
    """Refuse a protocol under which images that are all equal leak more than chance.

    Equal images tie every score that depends on them. Uneven numbers of images per person move what is left, and move
    the permuted labels with it; beyond those, and beyond twice the FAR, something other than the images is compared.
    """
    limit = max(floor_95, 2 * far)
    if leak.low > limit:
        raise ProtocolError(
            f"blackout not at the floor: images without content leak {leak.value:.3f} [{leak.low:.3f}, "
            f"{leak.high:.3f}], chance reaches {limit:.3f}; an attacker sees something other than the images"
        )
