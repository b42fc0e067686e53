"""What a trial runs: the method under study, with what it gets and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from veil.config import Settings
from veil.interfaces.models import Anonymizer, Conditioning

if TYPE_CHECKING:
    from torch import nn

    from veil.datasets.dataset import Dataset
    from veil.faces.table import FaceTable
    from veil.runtime import Launcher


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
