"""What the protocol says of one anonymizer: objectives with intervals, every rung, and what the numbers rest on."""

from collections.abc import Mapping

from veil.config import Settings, SuiteConfig, hash_values
from veil.errors import ConfigError
from veil.objectives import OBJECTIVES
from veil.registry import attackers

PROTOCOL_VERSION = 2
"""Raised whenever an objective, a rung or a guard changes meaning, so that old and new scores never mix."""


class Estimate(Settings):
    """A value with its 95 % interval.

    Attributes:
        value: point estimate.
        low: lower end, at most `value`.
        high: upper end, at least `value`.
    """

    value: float
    low: float
    high: float


class RungScore(Settings):
    """One way of attacking with one recognizer.

    Attributes:
        name: "parrot" or "informed/closed_set".
        rung: "A0" to "A6".
        recognizer: registered name.
        tar: true accept rate at the suite's FAR, measured on impostors of this rung, ties split.
        eer: equal error rate.
        auc: area under the ROC.
        rank_1, rank_5: share of probes whose person is among the best 1 or 5 of the gallery; ties broken at random.
        rank_1_by_gallery: expected rank-1 rate by the number of people in the gallery, at powers of 2 and at all.
        n_identities: people.
        n_genuine, n_impostor: scored pairs.
        floor_mean, floor_95: mean and 95th percentile of TAR when identity labels are dealt out at random.
        diagnostics: what the attacker says of itself.
    """

    name: str
    rung: str
    recognizer: str
    tar: Estimate
    eer: float
    auc: float
    rank_1: float
    rank_5: float
    rank_1_by_gallery: dict[int, float] = {}
    n_identities: int
    n_genuine: int
    n_impostor: int
    floor_mean: float
    floor_95: float
    diagnostics: dict[str, float] = {}


class LabelledExpression(Settings):
    """How well the evaluator reads labelled expressions.

    Attributes:
        n_images: labelled images.
        accuracy_clear, accuracy: of the top-1 decision on originals and on anonymized images.
        accuracy_retention: their ratio.
        macro_f1_clear, macro_f1: F1 averaged over classes.
        macro_f1_retention: their ratio.
        cross_entropy: mean, in nats, on anonymized images.
        ece_clear, ece: expected calibration error of the evaluator.
    """

    n_images: int
    accuracy_clear: float
    accuracy: float
    accuracy_retention: float
    macro_f1_clear: float
    macro_f1: float
    macro_f1_retention: float
    cross_entropy: float
    ece_clear: float
    ece: float

    @property
    def summary(self) -> str:
        """One line for people."""
        return (
            f"accuracy {self.accuracy:.2f} of {self.accuracy_clear:.2f} on the originals, macro-F1 {self.macro_f1:.2f} "
            f"of {self.macro_f1_clear:.2f} on the originals ({self.n_images} images)"
        )


class ExpressionScore(Settings):
    """How much of the expression survives, by the evaluator.

    Attributes:
        js: mean Jensen-Shannon divergence in bits, in [0, 1]; utility is 1 - js.
        kl: mean KL divergence in nats from the posterior of the original.
        top1_agreement: share of images whose most probable expression is unchanged.
        largest_class_share: share of the expression predicted most often on anonymized images.
        collapsed: whether one expression stands for everything although the originals show several.
        labelled: against labels; None where the dataset has none, or the evaluator reads none of them.
    """

    js: float
    kl: float
    top1_agreement: float
    largest_class_share: float
    collapsed: bool
    labelled: LabelledExpression | None = None


class LabelledSetScore(Settings):
    """What is left of the labelled expressions of a set of faces that nobody is attacked in; intervals over its images.

    Attributes:
        n_images: anonymized images.
        low_resolution: those whose source shows less than half of the crop's resolution.
        left_out: labelled images in which a signal that the anonymizer needs is missing, or no face was found.
        accuracy_clear, accuracy: of the evaluator's top-1 decision on originals and on anonymized images.
        accuracy_retention: their ratio; None where the evaluator reads none of the originals.
        macro_f1_clear, macro_f1: F1 averaged over classes.
        macro_f1_retention: their ratio; None as above.
        js: mean Jensen-Shannon divergence in bits between the evaluator's posteriors before and after.
        top1_agreement: share of images whose most probable expression is unchanged.
    """

    n_images: int
    low_resolution: int
    left_out: int
    accuracy_clear: Estimate
    accuracy: Estimate
    accuracy_retention: Estimate | None
    macro_f1_clear: Estimate
    macro_f1: Estimate
    macro_f1_retention: Estimate | None
    js: Estimate
    top1_agreement: Estimate

    @property
    def summary(self) -> str:
        """One line for people."""
        accuracy, macro_f1 = (
            f"{after.value:.2f} [{after.low:.2f}, {after.high:.2f}] of {before.value:.2f} on the originals"
            for after, before in ((self.accuracy, self.accuracy_clear), (self.macro_f1, self.macro_f1_clear))
        )
        return f"accuracy {accuracy}, macro-F1 {macro_f1} ({self.n_images} images)"


class RealismScore(Settings):
    """How much the published images look like photographs of faces, and like the originals.

    Attributes:
        kid: kernel inception distance to the originals, over images of different people; None without a feature net.
        fid: Frechet inception distance by the same features; None below its sample floor.
        lpips: mean learned perceptual distance to the original; None without its net.
        ssim: mean structural similarity to the original, in [-1, 1].
        psnr: decibels; None where the images are equal.
        missing: why a value is None.
    """

    kid: Estimate | None = None
    fid: float | None = None
    lpips: float | None = None
    ssim: float
    psnr: float | None
    missing: dict[str, str] = {}


class ProxyReading(Settings):
    """What a recognizer from inside the training loss sees: a diagnostic, never part of the leak.

    Attributes:
        cosine: mean cosine between the clear and the anonymized image of the same source.
        naive_tar: TAR at the suite's FAR of the naive attack with this recognizer.
    """

    cosine: float
    naive_tar: float


class Linkability(Settings):
    """Global linkability of two anonymized images of one person (Gomez-Barrero et al., 2018; ISO/IEC 30136).

    Attributes:
        d_sys: in [0, 1]; 0 is unlinkable. Small samples push it up, hence the floor.
        floor_95: its 95th percentile when identity labels are dealt out at random.
    """

    d_sys: Estimate
    floor_95: float


class RecognizerReading(Settings):
    """What one scoring recognizer says beside its rungs.

    Attributes:
        cosine: mean cosine between the clear and the anonymized image of the same source.
        deployed_tar: TAR of the naive attack at the threshold set on clear images. It says what a system in use would
            do, not what an attacker could: a shifted image evades it without hiding anybody. None without naive attack.
        similarity_shift: mean way (1-Wasserstein distance) from the similarities of genuine pairs in the control to
            those in the naive attack; None without naive attack.
        linkability: of anonymized images by the parrot attack; None without it.
    """

    cosine: float
    deployed_tar: float | None = None
    similarity_shift: Estimate | None = None
    linkability: Linkability | None = None


class DetectionScore(Settings):
    """How often a detector finds a face in a crop.

    Attributes:
        clear: share of the original crops.
        anonymized: share of the anonymized crops.
    """

    clear: float
    anonymized: float


class PersonScore(Settings):
    """One of the people under attack, known by their place among them and by no name.

    Attributes:
        tar: share of this person's genuine pairs that the strongest attack accepts; None without such a pair.
        utility: mean over this person's images.
    """

    tar: float | None
    utility: float


class TrialScore(Settings):
    """Score card of one anonymizer.

    Attributes:
        valid: whether the numbers mean what they say.
        reason: why not; None if valid.
        objectives: estimates by objective name; empty unless valid.
        rungs: every rung that was measured, also of an invalid score.
        strongest: name of the rung whose TAR is the leak (with the recognizer before it, where there are several).
        leak_floor_mean, leak_floor_95: what the largest TAR of all rungs would be by chance, mean and 95th percentile.
        recovery_gap: how much more the best adaptive attack finds than the best fixed one; None without either.
        recognizers: readings of the scoring recognizers, by name.
        expression: details of utility.
        realism: details of realism.
        proxy: readings of the recognizers from inside the loss, by name.
        detection: how often a face is found; None where it was not measured.
        people: each of the people under attack, in an order that all trials of a study share; empty unless valid, and
            in scores made before it was kept.
        target_split: people who were attacked, "search" or "sealed".
        n_images: images that were attacked.
        undetected: images of these people in which no face was found before anonymization; they are not scored.
        without_landmarks: images of these people in which a face was found, but no 68 landmarks; not scored either.
        low_resolution: scored images whose source shows less than half of the crop's resolution.
        labelled_sets: expressions of other faces, by the name of their set; empty where none are labelled.
        suite_hash, data_hash, contract_hash: attack suite with its models, contents of the faces, crop contract.
        models: SHA-256 of weights by "role/name".
        seeds: seeds by use.
        versions: versions of the software that decides the numbers.
        seconds: wall time by part.
    """

    valid: bool
    reason: str | None = None
    objectives: dict[str, Estimate] = {}
    rungs: tuple[RungScore, ...] = ()
    strongest: str | None = None
    leak_floor_mean: float | None = None
    leak_floor_95: float | None = None
    recovery_gap: Estimate | None = None
    recognizers: dict[str, RecognizerReading] = {}
    expression: ExpressionScore | None = None
    realism: RealismScore | None = None
    proxy: dict[str, ProxyReading] = {}
    detection: DetectionScore | None = None
    people: tuple[PersonScore, ...] = ()
    target_split: str
    n_images: int
    undetected: int
    without_landmarks: int = 0
    low_resolution: int = 0
    labelled_sets: dict[str, LabelledSetScore] = {}
    suite_hash: str
    data_hash: str
    contract_hash: str
    models: dict[str, str] = {}
    seeds: dict[str, int] = {}
    versions: dict[str, str] = {}
    seconds: dict[str, float] = {}

    @property
    def labelled_summaries(self) -> dict[str, str]:
        """What is left of labelled expressions, in one line for each set of faces."""
        own = self.expression.labelled if self.expression is not None else None
        summaries = {"people under attack": own.summary} if own is not None else {}
        return summaries | {name: labelled.summary for name, labelled in self.labelled_sets.items()}


def suite_hash(suite: SuiteConfig, recognizers: Mapping[str, str], evaluator: tuple[str, str]) -> str:
    """Hash of everything that decides what a score means, apart from the data.

    Args:
        suite: the attacks; settings an attacker was not given count with their defaults.
        recognizers: SHA-256 of the weights by name of the recognizers that score.
        evaluator: name and SHA-256 of the expression net that scores.

    Raises:
        ConfigError: an attacker is unknown, or a setting of its strength is wrong.
    """
    return hash_values(
        {
            "protocol": PROTOCOL_VERSION,
            "suite": {**suite.model_dump(mode="json"), "strength": None},
            "strength": {name: config.model_dump(mode="json") for name, config in attacker_configs(suite).items()},
            "recognizers": dict(recognizers),
            "evaluator": list(evaluator),
            "objectives": [[item.name, item.direction, item.unit] for item in OBJECTIVES.values()],
        }
    )


def attacker_configs(suite: SuiteConfig) -> dict[str, Settings]:
    """Validated settings of each attacker of the suite, in ladder order.

    Raises:
        ConfigError: an attacker is unknown, a setting is wrong, or strength is given for an attacker not in the suite.
    """
    unused = sorted(set(suite.strength) - set(suite.attackers))
    if unused:
        raise ConfigError(
            f"suite.strength is set for {', '.join(unused)}, which suite.attackers does not contain: "
            f"{', '.join(suite.attackers)}"
        )
    return {
        name: attackers.get(name).Config.parse(suite.strength.get(name, {}), where=f"suite.strength.{name}")
        for name in suite.attackers
    }
