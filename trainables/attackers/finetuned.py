"""A5 strong: a whole recognizer fine-tuned on anonymized images of the attacker's own people, several times."""

import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from trainables.attackers.finetuning import FineTuningPlan, LabelledFaces, TunedRecognizer, fine_tune, weights_path
from trainables.attackers.holdings import held_images, person_labels
from trainables.attackers.orientation import find_orientation
from veil.config import Settings
from veil.errors import DivergedError
from veil.interfaces import AttackFailedError, AttackSet, AttackSetting, Comparisons
from veil.protocol.fusion import compare_fused
from veil.protocol.pairs import compare, cosine, unit
from veil.protocol.rendering import net_outputs
from veil.registry import attackers
from veil.runtime import LocalLauncher, load_weights


class FineTunedConfig(Settings):
    """Strength of the attacker."""

    seeds: int = Field(3, ge=1, description="trainings; the worst of them counts, and all are fused")
    images_per_identity: int | None = Field(
        None, ge=1, description="images used of each of the attacker's own people; None uses all"
    )
    clear_images_per_identity: int = Field(2, ge=1, description="clear ones among the training images of each person")
    epochs: float = Field(6.0, gt=0, description="times each training image is seen")
    batch_size: int = Field(16, ge=1, description="of all workers together")
    learning_rate: float = Field(2e-4, gt=0)
    identity_weight: float = Field(0.1, ge=0, description="weight of the softmax over people beside the alignment")
    scale: float = Field(16.0, gt=0, description="inverse temperature of that softmax")
    margin: float = Field(0.2, ge=0, lt=1.57, description="its additive angular margin in radians")
    max_shift: int = Field(2, ge=0, description="largest shift of a training image in pixels")
    fused_images: int = Field(3, ge=2, description="images of a person in a template of the fused attack")
    min_training_accuracy: float = Field(
        0.9, ge=0, le=1, description="accuracy on clear or on anonymized training images that shows the attacker works"
    )

    def plan(self, images: int, setting: AttackSetting) -> FineTuningPlan:
        """The trainings on `images` images; a rehearsal takes two steps each."""
        length = 2 * self.batch_size if setting.rehearsal else max(1, round(self.epochs * images))
        return FineTuningPlan(
            images=length,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            identity_weight=self.identity_weight,
            scale=self.scale,
            margin=self.margin,
            max_shift=self.max_shift,
            seeds=tuple(setting.seed + index for index in range(self.seeds)),
        )


@attackers.register("finetuned")
class FineTuned:
    """An attacker who trains the recognizer itself, owns pairs of clear and anonymized images, and pools evidence.

    Anonymized images are first put upright by the orientation that the owned pairs agree on. Copies of the recognizer,
    one a seed, then learn to say of an anonymized image what the frozen recognizer says of the clear one. The gallery
    of clear images stays with the frozen recognizer, which has seen more people than any attacker's own.

    Each seed attacks by itself ("seed0/naive": clear gallery, anonymized probe; "seed0/parrot": both anonymized). In
    the fused attack all copies look at several images of a person ("fused/naive", "fused/parrot"). So does, untrained,
    the frozen recognizer ("frozen/naive", "frozen/parrot"): a few people can spoil what millions taught.
    """

    rung: ClassVar[str] = "A5"
    ensembles: ClassVar[bool] = True
    Config: ClassVar[type[Settings]] = FineTunedConfig

    def __init__(self, config: FineTunedConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Train, then compare.

        Raises:
            AttackFailedError: there is no recognizer with weights to train or no images, a loss was not finite, no
                kind of training images was learned, or there are too few people to train on.
            ConfigError: the batch does not divide among the workers.
        """
        recognizer = _trainable(setting)
        owned, target = held_images(setting, self.config.images_per_identity), setting.target
        orientation = find_orientation(owned.anonymized_images, owned.clear_images)
        upright, probes = orientation.apply(owned.anonymized_images), orientation.apply(target.anonymized_images)
        centre = owned.clear.mean(axis=0)
        clear = unit(target.clear - centre)

        comparisons: list[Comparisons] = []
        readings: list[NDArray[np.float64]] = []
        faces = self._training_faces(owned, upright, centre)
        for index, tuned in enumerate(self._tune(setting, recognizer, centre, faces)):
            diagnostics = self._examine(tuned, faces, len(upright), setting)
            anonymized = self._embed(tuned, probes, setting)
            name = f"finetuned/seed{index}"
            comparisons += [
                compare(f"{name}/naive", target, clear, anonymized, "probe", diagnostics),
                compare(f"{name}/parrot", target, anonymized, anonymized, "both", diagnostics),
            ]
            readings.append(unit(anonymized))

        # The cosine of concatenated unit vectors is the mean of their cosines.
        gallery, tuned_probe = np.concatenate([clear] * len(readings), axis=1), np.concatenate(readings, axis=1)
        frozen_centre = self._embed(recognizer, upright, setting).mean(axis=0)
        frozen_probe = unit(self._embed(recognizer, probes, setting) - frozen_centre)
        fuse = partial(compare_fused, people=target, images=self.config.fused_images, seed=setting.seed)
        return [
            *comparisons,
            fuse("finetuned/fused/naive", gallery_ND=gallery, probe_ND=tuned_probe, exchangeable="probe"),
            fuse("finetuned/fused/parrot", gallery_ND=tuned_probe, probe_ND=tuned_probe, exchangeable="both"),
            fuse("finetuned/frozen/naive", gallery_ND=clear, probe_ND=frozen_probe, exchangeable="probe"),
            fuse("finetuned/frozen/parrot", gallery_ND=frozen_probe, probe_ND=frozen_probe, exchangeable="both"),
        ]

    def _training_faces(
        self, owned: AttackSet, anonymized: NDArray[np.uint8], centre: NDArray[np.float32]
    ) -> LabelledFaces:
        """All anonymized images, then some clear ones of each person."""
        labels, targets = person_labels(owned), unit(owned.clear - centre).astype(np.float32)
        few = np.concatenate(
            [np.flatnonzero(labels == person)[: self.config.clear_images_per_identity] for person in np.unique(labels)]
        )
        return LabelledFaces(
            images=np.concatenate([anonymized, owned.clear_images[few]]),
            targets=np.concatenate([targets, targets[few]]),
            labels=np.concatenate([labels, labels[few]]),
        )

    def _tune(
        self, setting: AttackSetting, recognizer: nn.Module, centre: NDArray[np.float32], faces: LabelledFaces
    ) -> Iterator[TunedRecognizer]:
        """Train all copies where the launcher says, then hand them out one by one, on the setting's device."""
        launcher = setting.launcher or LocalLauncher(device=setting.device)
        plan = self.config.plan(len(faces.labels), setting)
        with tempfile.TemporaryDirectory(dir=setting.folder, prefix="finetuned-") as folder:
            try:
                launcher(
                    partial(
                        fine_tune,
                        plan=plan,
                        recognizer=copy.deepcopy(recognizer).cpu(),
                        centre=centre,
                        faces=faces,
                        folder=Path(folder),
                    )
                )
            except DivergedError as error:
                raise AttackFailedError(str(error)) from error
            for seed in plan.seeds:
                tuned = TunedRecognizer(recognizer, torch.from_numpy(centre), int(faces.labels.max()) + 1, seed)
                load_weights(weights_path(Path(folder), seed), tuned)
                yield tuned.to(setting.device)

    def _examine(
        self, tuned: TunedRecognizer, faces: LabelledFaces, n_anonymized: int, setting: AttackSetting
    ) -> dict[str, float]:
        """What a copy made of its own training images.

        It must name the people of the clear ones or of the anonymized ones by prototypes that started at random. A
        training without effect has learned no prototypes, and one that went astray tells no faces apart; but clear
        faces are among the training images, and so no anonymizer, not even one that shows the same image for everybody,
        keeps a working training from this.
        """
        embeddings = self._embed(tuned, faces.images, setting)
        prototypes = tuned.prototypes.detach().cpu().numpy()
        correct = cosine(embeddings, prototypes).argmax(axis=1) == faces.labels
        accuracies = {
            "training_accuracy_clear": float(correct[n_anonymized:].mean()),
            "training_accuracy_anonymized": float(correct[:n_anonymized].mean()),
        }
        best = max(accuracies.values())
        if not setting.rehearsal and best < self.config.min_training_accuracy:
            raise AttackFailedError(
                f"the fine-tuned recognizer names only {best:.0%} of its own training images, expected at least "
                f"{self.config.min_training_accuracy:.0%}; raise `epochs`, or change `learning_rate`"
            )
        alignment = (embeddings * faces.targets).sum(axis=1)[:n_anonymized]
        return accuracies | {"training_alignment": float(alignment.mean())}

    def _embed(self, net: nn.Module, images: NDArray[np.uint8], setting: AttackSetting) -> NDArray[np.float32]:
        """Equal images get equal embeddings, float32 (N, D)."""
        return net_outputs(net, images, self.config.batch_size, setting.device)


def _trainable(setting: AttackSetting) -> nn.Module:
    recognizer = setting.recognizer
    if recognizer is None or len(setting.owned.anonymized_images) == 0:
        raise AttackFailedError("fine-tuning needs a recognizer and images, and was given embeddings alone")
    if not any(True for _ in recognizer.parameters()):
        raise AttackFailedError(f"{type(recognizer).__name__} has no weights to fine-tune")
    return recognizer
