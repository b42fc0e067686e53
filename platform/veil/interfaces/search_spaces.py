"""What a study explores, and what it asks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from optuna import Trial


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
