"""A4 informed: heads trained on anonymized images of the attacker's own people and of enrolled target images."""

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables.attackers.heads import (
    HeadKind,
    HeadLoss,
    HeadSettings,
    TrainedHeads,
    TrainingSet,
    ridge_registration,
    train_heads,
)
from trainables.attackers.holdings import held_images, person_labels
from veil.config import Settings
from veil.interfaces import AttackFailedError, AttackSet, AttackSetting, Comparisons
from veil.protocol.pairs import compare, cosine, unit
from veil.registry import attackers

Ints = NDArray[np.int64]


class InformedConfig(Settings):
    """Strength of the attacker."""

    head: HeadKind = Field("linear", description="shape of the trained maps")
    hidden: int = Field(64, ge=1, description="width of the MLP")
    loss: HeadLoss = Field("arcface", description="arcface: cosine softmax with a margin; softmax: inner products")
    images_per_identity: int | None = Field(
        None, ge=1, description="images used of each of the attacker's own people; None uses all"
    )
    epochs: int = Field(150, ge=1, description="full-batch steps of each training")
    learning_rate: float = Field(0.01, gt=0)
    scale: float = Field(16.0, gt=0, description="inverse temperature of the cosine softmax; arcface only")
    margin: float = Field(0.2, ge=0, lt=1.57, description="additive angular margin in radians; arcface only")
    anchor: float = Field(1e-3, ge=0, description="weight of the squared departure from the identity map")
    ridge: float = Field(0.1, gt=0, description="shrinkage of the registration toward the identity map")
    folds: int = Field(5, ge=2, description="closed set: every image is probed once, enrolled in the other folds")
    enrolment_images: int | None = Field(
        None, ge=1, description="closed set: images enrolled per person and fold; None enrols all that are not probed"
    )
    min_clear_accuracy: float = Field(0.9, ge=0, le=1, description="training accuracy that shows the attacker works")

    def head_settings(self) -> HeadSettings:
        """Settings of one training."""
        return HeadSettings(
            kind=self.head,
            hidden=self.hidden,
            loss=self.loss,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            scale=self.scale,
            margin=self.margin,
            anchor=self.anchor,
            min_clear_accuracy=self.min_clear_accuracy,
        )


@attackers.register("informed")
class Informed:
    """An attacker who owns the anonymizer, and therefore labelled pairs of clear and anonymized images.

    Open set: the attacker has never seen the targets. Embeddings of clear and of anonymized images are each centred on
    the attacker's own people, then mapped by heads trained on those people ("open_set/naive": clear gallery, anonymized
    probe; "open_set/parrot": both anonymized), or the anonymized ones are carried back by a ridge regression onto the
    clear ones of the same images ("open_set/registered").

    Closed set: the attacker also holds some images of each target, and renders them with the anonymizer. Heads trained
    on these enrolment images compare them with the target's other, anonymized images. Folds rotate so that every image
    is probed exactly once by heads that never saw any rendering of it.
    """

    rung: ClassVar[str] = "A4"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = InformedConfig

    def __init__(self, config: InformedConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Train, then compare.

        Raises:
            AttackFailedError: a loss was not finite, the heads did not learn their clear training images, or there are
                too few people or images to train on.
        """
        held = held_images(setting, self.config.images_per_identity)
        owned, target = _centred(held, around=held), _centred(setting.target, around=held)
        return [*self._open_set(target, owned, setting.seed), self._closed_set(target, owned, setting.seed)]

    def _open_set(self, target: AttackSet, owned: AttackSet, seed: int) -> list[Comparisons]:
        labels = person_labels(owned)
        heads = train_heads(
            TrainingSet(owned.clear, labels), TrainingSet(owned.anonymized, labels), self.config.head_settings(), seed
        )
        clear, anonymized = heads.map_clear(target.clear), heads.map_anonymized(target.anonymized)
        registered = target.anonymized @ ridge_registration(owned.anonymized, owned.clear, self.config.ridge)
        learned = _diagnostics([heads])
        return [
            compare("informed/open_set/naive", target, clear, anonymized, "probe", learned),
            compare("informed/open_set/registered", target, target.clear, registered, "probe"),
            compare("informed/open_set/parrot", target, anonymized, anonymized, "both", learned),
        ]

    def _closed_set(self, target: AttackSet, owned: AttackSet, seed: int) -> Comparisons:
        rng = np.random.default_rng(seed)
        folds = assign_folds(target.identities, target.sources, self.config.folds, rng)
        owned_labels = person_labels(owned)
        people = np.unique(target.identities)
        own = np.searchsorted(people, target.identities)
        target_labels = owned_labels.max() + 1 + own

        trained: list[TrainedHeads] = []
        parts: list[_FoldScores] = []
        named: list[NDArray[np.bool_]] = []
        for fold in range(self.config.folds):
            probes = np.flatnonzero(folds == fold)
            enrolled = _enrolment(target, folds, fold, self.config.enrolment_images, rng)
            if probes.size == 0 or enrolled.size == 0:
                continue
            labels = np.concatenate([owned_labels, target_labels[enrolled]])
            heads = train_heads(
                TrainingSet(np.concatenate([owned.clear, target.clear[enrolled]]), labels),
                TrainingSet(np.concatenate([owned.anonymized, target.anonymized[enrolled]]), labels),
                self.config.head_settings(),
                seed + 1 + fold,
            )
            gallery = heads.map_anonymized(target.anonymized[enrolled])
            probe = heads.map_anonymized(target.anonymized[probes])
            parts.append(_FoldScores(cosine(gallery, probe), enrolled, probes))
            best = cosine(heads.prototypes[owned_labels.max() + 1 :], probe).argmax(axis=0)
            named.append(best == own[probes])
            trained.append(heads)
        if not trained:
            raise AttackFailedError("the closed-set attack needs people with at least 2 images of different sources")
        diagnostics = _diagnostics(trained) | {"rank_1_fused": float(np.concatenate(named).mean())}
        return _pool(target, parts, diagnostics)


class _FoldScores(NamedTuple):
    """Scores (E, Q) of one fold between E enrolled and Q probed images of the target set."""

    scores: NDArray[np.float64]
    enrolled: Ints
    probes: Ints


def _pool(target: AttackSet, parts: list[_FoldScores], diagnostics: dict[str, float]) -> Comparisons:
    gallery = np.concatenate([np.repeat(part.enrolled, part.probes.size) for part in parts])
    probe = np.concatenate([np.tile(part.probes, part.enrolled.size) for part in parts])
    scores = np.concatenate([part.scores.ravel() for part in parts])
    keep = target.sources[gallery] != target.sources[probe]  # one photo can show two people
    gallery, probe = gallery[keep], probe[keep]
    return Comparisons(
        name="informed/closed_set",
        scores=scores[keep],
        gallery_identities=target.identities[gallery],
        probe_identities=target.identities[probe],
        gallery_sources=target.sources[gallery],
        probe_sources=target.sources[probe],
        exchangeable="probe",
        diagnostics=diagnostics,
    )


def assign_folds(identities: Ints, sources: Ints, folds: int, rng: np.random.Generator) -> Ints:
    """Deal each person's source images evenly over the folds; renderings of one source stay together.

    Returns:
        int (N,), fold of each image; -1 for people with one source only, who cannot be both enrolled and probed.
    """
    assigned = np.full(identities.shape, -1)
    for person in np.unique(identities):
        rows = np.flatnonzero(identities == person)
        own_sources, source_of = np.unique(sources[rows], return_inverse=True)
        if own_sources.size < 2:
            continue
        # A random first fold spreads the remainder when the number of images is no multiple of the folds.
        dealt = (rng.permutation(own_sources.size) + rng.integers(folds)) % folds
        assigned[rows] = dealt[source_of]
    return assigned


def _enrolment(target: AttackSet, folds: Ints, probed: int, images: int | None, rng: np.random.Generator) -> Ints:
    """Images of the other folds, at most `images` a person."""
    candidates = np.flatnonzero((folds >= 0) & (folds != probed))
    if images is None:
        return candidates
    chosen = [
        rng.permutation(candidates[target.identities[candidates] == person])[:images]
        for person in np.unique(target.identities[candidates])
    ]
    return np.sort(np.concatenate(chosen)) if chosen else candidates


def _centred(people: AttackSet, around: AttackSet) -> AttackSet:
    """Subtract what all faces of one kind share (blur alone moves every embedding the same way), unit length after."""
    return AttackSet(
        identities=people.identities,
        sources=people.sources,
        clear=unit(people.clear - np.asarray(around.clear, dtype=np.float64).mean(axis=0)),
        anonymized=unit(people.anonymized - np.asarray(around.anonymized, dtype=np.float64).mean(axis=0)),
    )


def _diagnostics(trained: list[TrainedHeads]) -> dict[str, float]:
    return {
        "training_accuracy_clear": min(heads.clear_accuracy for heads in trained),
        "training_accuracy_anonymized": float(np.mean([heads.anonymized_accuracy for heads in trained])),
        "training_loss": float(np.mean([heads.loss for heads in trained])),
    }
