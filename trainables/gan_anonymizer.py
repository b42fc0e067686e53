"""The GAN anonymizer: trains or waits for what it shares, trains its own part, and keeps the generator."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.anonymizers.generative import GeneratorAnonymizer
from trainables.conditioning import build_conditioning
from trainables.gan.codes import CodeAtUse
from trainables.gan.config import GanConfig
from trainables.gan.data import TrainingFaces, drop_incomplete
from trainables.gan.jobs import Job
from trainables.gan.loop import load_generator, save_generator
from trainables.gan.references import check_shows_features
from trainables.gan.rows import Rows
from veil.config import hash_values
from veil.errors import DataError
from veil.interfaces import Anonymizer, TrialContext, TrialOutcome
from veil.registry import trainables

if TYPE_CHECKING:
    from veil.faces.table import FaceTable

_GENERATOR = "generator"


@trainables.register("gan_anonymizer")
class GanAnonymizer:
    """Trains a conditional GAN from the study's warm start and returns its averaged generator."""

    family = "gan"
    model_files = (_GENERATOR,)
    needs_faces = True
    stoppable = True
    Config = GanConfig

    def run(self, config: GanConfig, context: TrialContext) -> TrialOutcome:
        """Warm start (or wait for the trial that makes it), train, keep the generator.

        Raises:
            ConfigError: the batch does not divide among the workers.
            DataError: there are no faces to train on, or none that has the signals that the conditioning needs.
            DivergedError: a loss was not finite.
            StoppedEarlyError: the trial is not promising at a rung.
        """
        if context.faces is None:
            raise DataError("the GAN anonymizer needs faces to train on; the study has prepared none")
        conditioning = build_conditioning(config.conditioning)
        if config.weights.expr > 0 and "feature" in config.expression_loss:
            check_shows_features(context.load_roles("cpu").teacher)
        extra = context.extra_faces if config.extra_share > 0 else ()
        faces, counts = training_faces(
            context.faces, extra, conditioning.needs, config.max_source_scale, config.identity_code == "target"
        )
        job = Job(config, conditioning, faces, context)
        seconds, trainings = {}, {}
        began = time.perf_counter()
        start = None
        if config.warm_start_images > 0:
            start = job.warm_start()
            trainings[start.name] = config.warm_start_images
            seconds["warm_start"] = time.perf_counter() - began
            began = time.perf_counter()
        if config.loss_conditional is None:
            trained = job.own_training(start)
            trainings[f"trial-{context.folder.name}"] = config.images
        else:
            trained = job.shared_training(start)
            trainings[trained.name] = config.images
        anonymizer, code = job.anonymizer(trained), job.code_at_use()
        save_generator(
            context.folder / _GENERATOR,
            anonymizer.generator,
            {
                "conditioning": config.conditioning,
                "channels": conditioning.channels,
                "width": config.generator_width,
                "code_size": job.codes.total,
                "canvas": job.canvas,
                "code": None if code is None else asdict(code),
                "config": config.model_dump(mode="json"),
                "crop_contract": context.faces.contract_hash,
                "seed": job.seed,
            },
        )
        seconds["train"] = time.perf_counter() - began
        return TrialOutcome(anonymizer, conditioning, seconds=seconds, training_faces=counts, trainings=trainings)

    def load(self, config: GanConfig, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer from the trial's folder.

        Raises:
            DataError: the folder holds no finished generator.
        """
        generator, description = load_generator(folder / _GENERATOR)
        code = description.get("code")
        conditioning = build_conditioning(description["conditioning"])
        return GeneratorAnonymizer(generator, conditioning, None if code is None else CodeAtUse(**code))

    def label(self, config: GanConfig) -> str:
        """For example "landmarks λ_id=1 λ_expr=2".

        "film" before it marks a loss-conditional training; behind it stand the kind of the identity code, and "plain"
        for a loss without random views.
        """
        film = "" if config.loss_conditional is None else "film "
        code = "" if config.identity_code == "none" else f" {config.identity_code}"
        plain = "" if config.proxy_transforms or config.weights.id == 0 else " plain"
        weights = f"λ_id={config.weights.id:.3g} λ_expr={config.weights.expr:.3g}"
        return f"{film}{config.conditioning} {weights}{code}{plain}"


def training_faces(
    own: "FaceTable",
    extra: "Sequence[FaceTable]",
    needs: frozenset[str],
    max_source_scale: float | None = None,
    with_people: bool = False,
) -> tuple[TrainingFaces, dict[str, int]]:
    """Faces that can be trained on, the study's own first; pixels stay where they are until they are needed.

    Blurred faces from small sources teach a discriminator that faces are blurred: they are counted, and left out where
    the settings say so. A face that lacks a signal is left out and counted.

    Args:
        own: the study's train part.
        extra: more faces under the same crop contract.
        needs: signals that every face must have.
        max_source_scale: crop pixels per pixel of the source above which a face is left out; None leaves none out.
        with_people: whether the training must know who is who in the train part.

    Returns:
        The faces, and counts: of those kept "people", "extra" and, among both, "low_resolution"; of those left out
        "too_blurred" and "without_parsing_map" and the like.

    Raises:
        DataError: no face of a table is left, or it must be known who a face shows and is not.
    """
    counts = Counter({"people": 0, "extra": 0, "low_resolution": 0})
    tables = []
    for table in (own, *extra):
        sharp = _drop_blurred(table, max_source_scale)
        kept, dropped = drop_incomplete(sharp, needs)
        counts["people" if table is own else "extra"] += len(kept)
        counts["low_resolution"] += kept.low_resolution
        counts["too_blurred"] += len(table) - len(sharp)
        counts.update({f"without_{words.replace(' ', '_')}": count for words, count in dropped.items()})
        tables.append(kept)
    faces = TrainingFaces(
        images=Rows([table.crops for table in tables]),
        landmarks=np.concatenate([table.landmarks68 for table in tables]),
        key=hash_values([[table.data_hash, table.contract_hash, table.image_ids] for table in tables]),
        parsing=Rows([table.parsing for table in tables]) if "parsing" in needs else None,
        pose=np.concatenate([table.pose for table in tables]) if "pose" in needs else None,
        extra=counts["extra"],
        people=np.unique(tables[0].identities, return_inverse=True)[1] if with_people else None,
    )
    return faces, dict(counts)


def _drop_blurred(table: "FaceTable", max_source_scale: float | None) -> "FaceTable":
    if max_source_scale is None:
        return table
    sharp = table.take(np.flatnonzero(~(table.source_scales > max_source_scale)))
    if len(table) and not len(sharp):
        raise DataError(
            f"all {len(table)} faces of a training set have more than {max_source_scale:g} crop pixels a source pixel; "
            "raise max_source_scale, or take the set out of `data.extra`"
        )
    return sharp
