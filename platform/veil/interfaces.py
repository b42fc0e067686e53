"""What a plug-in must be.

Shapes: B images, N images of a set, 3 channels RGB, H = W = 112, D embedding size, K expression classes, P pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from veil.config import Settings

if TYPE_CHECKING:
    import torch
    from optuna import Trial
    from torch import Tensor, nn

    from veil.datasets.dataset import Dataset
    from veil.faces.table import FaceTable
    from veil.runtime import Launcher

CROP_SIZE = 112
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Order of the K = 7 classes in every posterior."""


FACE_PARTS = (
    "background", "skin", "right_brow", "left_brow", "right_eye", "left_eye", "nose", "upper_lip", "mouth", "lower_lip",
    "hair", "ears", "neck", "clothes", "accessories",
)  # fmt: skip
"""Classes of a parsing map, in the order of their numbers; right and left are the person's own, as in iBUG-68."""

NO_PART = 255
"""Value of a parsing map where a face has none."""


class FaceBatch(NamedTuple):
    """Aligned faces with what was measured on the clear image.

    Attributes:
        images: float (B, 3, 112, 112), RGB in [-1, 1].
        landmarks: float (B, 68, 2), iBUG-68 (x, y) in crop pixels.
        parsing: uint8 (B, 112, 112), numbers of FACE_PARTS, NO_PART throughout a face whose map is missing; None if
            nobody asked for it.
        pose: float (B, 3), yaw, pitch and roll of the head in degrees, NaN for a face whose pose is missing; None if
            nobody asked for it.
    """

    images: "Tensor"
    landmarks: "Tensor"
    parsing: "Tensor | None" = None
    pose: "Tensor | None" = None

    def to(self, device: "torch.device | str") -> "FaceBatch":
        """The same batch on another device."""
        return FaceBatch(
            self.images.to(device),
            self.landmarks.to(device),
            None if self.parsing is None else self.parsing.to(device),
            None if self.pose is None else self.pose.to(device),
        )


class SubjectPool(NamedTuple):
    """Whose images an anonymizer mixes into its output, as the k-Same family does.

    Attributes:
        identities: person of each image in the pool.
        k: images mixed into one output.
        parts: sub-pool of each image, where all images of one output come from one sub-pool; empty for a pool that is
            not divided.
    """

    identities: Sequence[str]
    k: int
    parts: Sequence[str] = ()


@runtime_checkable
class Anonymizer(Protocol):
    """Turns faces into anonymized faces, deterministically.

    One that mixes images of other people declares them as an attribute `pool`, a SubjectPool: the protocol refuses a
    pool that gives no k-anonymity. One that draws on signals beside the image declares them as an attribute `needs`, as
    a conditioning does: the protocol refuses faces that lack one. One that looks at the clear image through a frozen
    net declares it as an attribute `models`, SHA-256 of the weights by name, as a conditioning does: the protocol
    refuses to let a net judge what it has itself steered. One that draws whom each image shows has a method
    `as_one_person(seed)`, which returns an anonymizer that shows one person in all images. One of which a reader of its
    score must know something says so in an attribute `notes`, a sequence of sentences.
    """

    def __call__(self, faces: FaceBatch) -> "Tensor":
        """Return float (B, 3, 112, 112), RGB in [-1, 1]."""
        ...


@runtime_checkable
class Conditioning(Protocol):
    """What the generator is allowed to see.

    Attributes:
        channels: number of channels C of the signal.
        needs: signals of a face that it draws on, of "landmarks68", "parsing" and "pose"; a face that lacks one of
            them cannot be anonymized.

    One that looks at the clear image through a frozen net declares it as an attribute `models`, SHA-256 of the weights
    by name. One that paints a face, in grey, which may be published as it is, names its channel as an attribute
    `canvas`: a generator may start from it.
    """

    channels: int
    needs: frozenset[str]

    def __call__(self, faces: FaceBatch) -> "Tensor":
        """Return float (B, C, 112, 112) in [-1, 1].

        Raises:
            DataError: a face lacks a signal that is needed.
        """
        ...


@runtime_checkable
class Recognizer(Protocol):
    """An identity embedder: a torch module, differentiable in its input, frozen, in eval mode.

    Attributes:
        embedding_size: D.
    """

    embedding_size: int

    def __call__(self, images: "Tensor") -> "Tensor":
        """Map (B, 3, 112, 112) in [-1, 1] to L2-normalised embeddings (B, D)."""
        ...


@runtime_checkable
class ExpressionNet(Protocol):
    """A facial-expression classifier: a torch module, differentiable in its input, frozen, in eval mode.

    A net whose features a loss shall compare has a method `features_and_logits`, which maps the same images to a pair
    of float (B, F), what its last layer classifies, and the logits.
    """

    def __call__(self, images: "Tensor") -> "Tensor":
        """Map (B, 3, 112, 112) in [-1, 1] to logits (B, 7) in the order of EXPRESSIONS."""
        ...


def _no_images() -> np.ndarray:
    return np.empty((0, 3, CROP_SIZE, CROP_SIZE), np.uint8)


@dataclass(frozen=True)
class AttackSet:
    """Faces of one group of people as an attacker with one recognizer sees them.

    Attributes:
        identities: int (N,), index of the person.
        sources: int (N,), index of the source image; renderings of one source are never compared.
        clear: float32 (N, D), L2-normalised embeddings of the originals.
        anonymized: float32 (N, D), of the anonymized images.
        clear_images: uint8 (N, 3, 112, 112), the originals; empty where an attack works on embeddings alone.
        anonymized_images: uint8 (N, 3, 112, 112), as published.
    """

    identities: np.ndarray
    sources: np.ndarray
    clear: np.ndarray
    anonymized: np.ndarray
    clear_images: np.ndarray = field(default_factory=_no_images)
    anonymized_images: np.ndarray = field(default_factory=_no_images)


@dataclass(frozen=True)
class AttackSetting:
    """What one attacker is given.

    Attributes:
        target: the people under attack.
        owned: other people whose clear and anonymized images the attacker holds.
        seed: seed of everything random in the attacker.
        recognizer: the frozen net that made the embeddings, a torch module on `device`; an attacker trains a copy of
            it, never the net itself. None where an attack works on embeddings alone.
        device: where nets run.
        launcher: runs training on one or several workers; None trains here.
        folder: scratch folder that all workers reach; None if there is none.
        rehearsal: the anonymized images are known to have no content, and only the attack itself is being checked: it
            should do everything it does, as briefly as it can, and not fail for having learned too little.
    """

    target: AttackSet
    owned: AttackSet
    seed: int
    recognizer: "nn.Module | None" = None
    device: str = "cpu"
    launcher: "Launcher | None" = None
    folder: Path | None = None
    rehearsal: bool = False


@dataclass(frozen=True)
class Comparisons:
    """Scores of one way of attacking, larger meaning more alike; each pair of images at most once.

    Attributes:
        name: path in metric keys, for example "parrot" or "informed/open_set/parrot".
        scores: float (P,).
        gallery_identities, probe_identities: int (P,); equal for genuine pairs.
        gallery_sources, probe_sources: int (P,); never equal within a pair.
        exchangeable: side whose identity labels chance would deal out anew, which is the side of the anonymized images;
            "both" where one set of images is compared with itself.
        diagnostics: what the attacker says of itself, for example its training accuracy.
        gallery_members, probe_members: int (P, M), all source images behind each side of a pair where several images
            of a person are fused, the pair's own source first; None where each side is one image.
        reconstructions: uint8 (N, 3, 112, 112), what the attacker made of the anonymized target images, in the order
            of the target; None if it makes no images.
    """

    name: str
    scores: np.ndarray
    gallery_identities: np.ndarray
    probe_identities: np.ndarray
    gallery_sources: np.ndarray
    probe_sources: np.ndarray
    exchangeable: Literal["gallery", "probe", "both"] = "probe"
    diagnostics: dict[str, float] = field(default_factory=dict)
    gallery_members: np.ndarray | None = None
    probe_members: np.ndarray | None = None
    reconstructions: np.ndarray | None = None

    @property
    def genuine(self) -> np.ndarray:
        """Bool (P,), whether both sides of a pair show one person."""
        return np.asarray(self.gallery_identities == self.probe_identities)


class AttackFailedError(Exception):
    """An attacker could not do its work; the score of the trial becomes invalid, never zero."""


class Attacker(Protocol):
    """One rung of the ladder.

    Attributes:
        rung: "A0" to "A6"; from A4 on, attackers are adaptive: they learn from anonymized images.
        ensembles: whether its scores by several recognizers are also fused into one attack.
        Config: settings of its strength.
    """

    rung: ClassVar[str]
    ensembles: ClassVar[bool]
    Config: ClassVar[type[Settings]]

    def __init__(self, config: Any) -> None: ...

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Attack.

        Raises:
            AttackFailedError: the attack could not be carried out, or did not learn what it must.
        """
        ...


@dataclass(frozen=True)
class Roles:
    """Loaded models that training may use; the ones that score are not among them."""

    proxies: "tuple[nn.Module, ...]"
    teacher: "nn.Module"


def _ignore_rung(outcome: "TrialOutcome", images: int) -> None:
    """Judge nothing and stop nothing."""


@dataclass(frozen=True)
class TrialContext:
    """What a trial is given.

    Attributes:
        folder: the trial's own folder; everything it keeps lies there.
        cache: folder shared by the study's trials, for example for warm starts.
        faces: faces of the train split; None for trainables that need none.
        extra_faces: more faces to train on, under the same crop contract, that nobody is evaluated on; of some no
            identity is known.
        load_roles: loads proxies and teacher on a device ("cpu", "cuda").
        launcher: runs a training function on one or several workers.
        seed: seed of the trial.
        rungs: images seen, rising and below the length of the training, at which the trial is compared with others; of
            a trial that is continued, those that it has not passed yet. Empty where nothing is stopped early.
        at_rung: takes what the trial would return if it ended at a rung, and the rung; to be called at each of `rungs`.
            It judges the outcome and raises StoppedEarlyError, which ends the trial, unless the trial is promising.
    """

    folder: Path
    cache: Path
    faces: "FaceTable | None"
    load_roles: "Callable[[str], Roles]"
    launcher: "Launcher"
    seed: int
    extra_faces: "tuple[FaceTable, ...]" = ()
    rungs: Sequence[int] = ()
    at_rung: "Callable[[TrialOutcome, int], None]" = _ignore_rung


@dataclass(frozen=True)
class TrialOutcome:
    """What a trainable returns: an anonymizer to be judged, or the values of a synthetic problem.

    Attributes:
        anonymizer: judged by the protocol.
        conditioning: the signal the anonymizer sees, for the image grid; None if it sees the pixels.
        synthetic: objective values of a problem without faces; such a trial can never be picked.
        seconds: wall time by part, for example {"warm_start": 12.0, "train": 40.0}.
        strength: strength of attackers that holds for this trial alone; only studies of attackers use it.
        detector: registered detector that finds and aligns the faces of this trial alone; only studies of detectors use
            it.
        training_faces: how many faces the anonymizer was trained on, and how many were left out, by kind.
        trainings: images seen by each training that the anonymizer rests on, by a name that is the same wherever the
            same training is shared (a warm start, a loss-conditional generator): the compute of a study is the sum over
            distinct names.
    """

    anonymizer: Anonymizer | None = None
    conditioning: Conditioning | None = None
    synthetic: dict[str, float] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    strength: dict[str, dict[str, Any]] = field(default_factory=dict)
    detector: str | None = None
    training_faces: dict[str, int] = field(default_factory=dict)
    trainings: dict[str, int] = field(default_factory=dict)


class Trainable(Protocol):
    """What a trial runs.

    One whose anonymizer knows some images only, and could anonymize no others, says so by an attribute `registrable`
    that is False: its trials are scored, and never registered as models. One that keeps more in a trial's folder than
    `load` reads names what it does read as an attribute `model_files`, a sequence of files and folders there: they
    alone travel in a registered model. One that can be stopped early says so by an attribute `stoppable` that is True:
    it has a setting `images`, the length of its training, and heeds `rungs` and `at_rung` of its context.

    Attributes:
        family: name of the group of methods that a frontier colours ("gan", "classical", "analytic").
        needs_faces: whether face data must be prepared.
        Config: its settings; a sampled configuration is validated by it before a worker starts.
    """

    family: ClassVar[str]
    needs_faces: ClassVar[bool]
    Config: ClassVar[type[Settings]]

    def run(self, config: Any, context: TrialContext) -> TrialOutcome:
        """Produce an outcome.

        Raises:
            DivergedError: a loss was not finite.
            StoppedEarlyError: the trial is not promising enough to go on.
        """
        ...

    def load(self, config: Any, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer of a finished trial from its folder, without data and without the study."""
        ...

    def label(self, config: Any) -> str:
        """Short name of a configuration for tables and plots, for example "pixels λ_id=6" or "blur 31"."""
        ...


class Training(Protocol):
    """Trains a model that studies use, outside of any study.

    Attributes:
        Config: its settings; `images` among them says how many images are seen in training.
    """

    Config: ClassVar[type[Settings]]

    def __call__(
        self, config: Any, dataset: "Dataset", launcher: "Launcher", folder: Path, provenance: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Train, measure, and leave the model with its card in a folder; a training that was stopped there goes on.

        Args:
            config: of the type `Config`.
            dataset: labelled faces with published parts.
            launcher: runs the training on one or several workers.
            folder: reached by all workers.
            provenance: what the card, which is returned, shall say of how the training was started.

        Raises:
            DataError: the dataset lacks labels.
            ConfigError: the folder holds another training.
            DivergedError: a loss was not finite.
        """
        ...


class Anchor(NamedTuple):
    """A configuration that a study tries before the sampler chooses, such as a baseline.

    Attributes:
        trainable: registered trainable.
        params: fixed values by the names that the space suggests them under.
    """

    trainable: str
    params: dict[str, Any]


class Question(NamedTuple):
    """What a study of ablations asks: two groups of trials that differ in one thing.

    Trials of a group differ in nothing but what is not named here, such as the seed of their training.

    Attributes:
        change: what the second group does otherwise, to go on with "costs …": "removing L_expr".
        reference: sampled values that all trials of the first group share.
        variant: sampled values that all trials of the second group share.
        of: what is compared: "trials", repetitions whose means differ, or "frontiers", of which each group traces one.
    """

    change: str
    reference: Mapping[str, Any]
    variant: Mapping[str, Any]
    of: Literal["trials", "frontiers"] = "trials"


class SearchSpace(Protocol):
    """What a study explores, written define-by-run.

    A space whose trials ask for detectors of their own names all of them as an attribute `detectors`, a sequence of
    registered names: the study's images are prepared with each before the first trial starts. A space that answers
    questions names them as an attribute `questions`, a sequence of Question.

    Attributes:
        trainables: every trainable that a trial of this space can run; the first is the one that is sampled.
    """

    trainables: ClassVar[tuple[str, ...]]

    def anchors(self) -> Sequence[Anchor]:
        """Configurations tried first, in order."""
        ...

    def suggest(self, trial: "Trial", trainable: str) -> dict[str, Any]:
        """Return nested settings of `trainable`, each sampled value asked of `trial`."""
        ...
