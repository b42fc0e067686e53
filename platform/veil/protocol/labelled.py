"""Labelled expressions of faces that nobody is attacked in: what of them an evaluator still reads once anonymized."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from veil.config import SuiteConfig
from veil.faces.cache import cached_outputs
from veil.faces.study_faces import draw_faces
from veil.faces.table import FaceTable
from veil.interfaces import EXPRESSIONS, Anonymizer
from veil.metrics.bootstrap import draw_multiplicities
from veil.metrics.classification import resampled_accuracy, resampled_macro_f1
from veil.metrics.expression import accuracy, js_divergence, macro_f1, retention_ratio
from veil.metrics.intervals import percentile_interval
from veil.protocol.rendering import net_outputs, render
from veil.protocol.score import Estimate, LabelledSetScore

FEWEST = 2
"""Images below which there is no interval."""


def draw_labelled(table: FaceTable, split: str, count: int, seed: int) -> FaceTable | None:
    """Labelled faces of a split that are not in the train part too, drawn at random.

    Args:
        table: prepared faces.
        split: "search" or "sealed".
        count: how many; all of them if there are no more.
        seed: another seed gives another draw.

    Returns:
        None if there are fewer than FEWEST, or none is wanted.
    """
    if split not in table.splits:
        return None
    part = table.split(split)
    labelled = np.array([label is not None for label in part.expression_labels], np.bool_)
    if "train" in table.splits:
        labelled &= ~np.isin(part.source_indices, table.split("train").source_indices)
    drawn = draw_faces(part.take(np.flatnonzero(labelled)), count, seed)
    return drawn if len(drawn) >= FEWEST else None


class LabelledSet:
    """One set of labelled faces, anonymized and read by the evaluator.

    Args:
        faces: N faces, every one labelled.
        evaluator: frozen expression net; has `name` and `asset_sha256`.
        suite: resamples and seed.
        cache: folder for what is computed once on the originals.
        device: where nets and anonymizer run.
    """

    def __init__(
        self, faces: FaceTable, evaluator: nn.Module, suite: SuiteConfig, cache: Path, device: str | torch.device
    ) -> None:
        self._faces = faces
        self._evaluator = evaluator
        self._suite = suite
        self._cache = cache
        self._device = device

    def measure(self, anonymizer: Anonymizer, batch_size: int) -> LabelledSetScore | None:
        """Anonymize the faces and read them.

        Faces in which a signal is missing that the anonymizer needs are left out and counted.

        Returns:
            None if fewer than FEWEST faces have them.

        Raises:
            ProtocolError: the anonymizer does not return images.
        """
        usable = np.flatnonzero(self._faces.has(getattr(anonymizer, "needs", frozenset())))
        if usable.size < FEWEST:
            return None
        faces = self._faces.take(usable)
        images = render(anonymizer, faces, batch_size, self._device)
        name, sha = f"{self._evaluator.name}-posterior", str(self._evaluator.asset_sha256)
        clear = cached_outputs(self._faces, name, sha, lambda batch: self._read(batch.to(self._device)), self._cache)
        return score_labelled(
            np.asarray(clear)[usable],
            net_outputs(self._read, images, batch_size, self._device),
            np.array([EXPRESSIONS.index(str(label)) for label in faces.expression_labels], np.int64),
            self._suite,
            low_resolution=faces.low_resolution,
            left_out=len(self._faces) - len(faces),
        )

    def _read(self, images: Tensor) -> Tensor:
        logits: Tensor = self._evaluator(images)
        return logits.float().softmax(dim=1)


def score_labelled(
    clear: NDArray[np.floating],
    anonymized: NDArray[np.floating],
    labels: NDArray[np.int64],
    suite: SuiteConfig,
    low_resolution: int = 0,
    left_out: int = 0,
) -> LabelledSetScore:
    """Compare posteriors with labels and with each other; both kinds are resampled together, image by image.

    Args:
        clear: (N, 7) posteriors on the originals.
        anonymized: (N, 7) posteriors on the anonymized images.
        labels: (N,) places in EXPRESSIONS.
        suite: resamples and seed.
        low_resolution: of these images, those from small sources.
        left_out: further images that could not be anonymized.
    """
    weights = draw_multiplicities(len(labels), suite.bootstrap_replicates, suite.seed)

    def estimate(value: float, replicates: NDArray[np.float64]) -> Estimate:
        low, high = percentile_interval(replicates, n_units=len(labels))
        return Estimate(value=value, low=min(low, value), high=max(high, value))

    def mean(values: NDArray[np.floating]) -> Estimate:
        return estimate(float(np.mean(values)), weights @ values / weights.sum(axis=1))

    decisions = clear.argmax(axis=1), anonymized.argmax(axis=1)
    scores: dict[str, Estimate | None] = {}
    for name, metric, resampled in (
        ("accuracy", accuracy, resampled_accuracy),
        ("macro_f1", macro_f1, resampled_macro_f1),
    ):
        values = metric(clear, labels), metric(anonymized, labels)
        replicates = [resampled(decided, labels, weights) for decided in decisions]
        scores[f"{name}_clear"] = estimate(values[0], replicates[0])
        scores[name] = estimate(values[1], replicates[1])
        scores[f"{name}_retention"] = _retention(values, replicates, estimate)
    return LabelledSetScore(
        n_images=len(labels),
        low_resolution=low_resolution,
        left_out=left_out,
        **scores,
        js=mean(js_divergence(clear, anonymized)),
        top1_agreement=mean(np.asarray(decisions[0] == decisions[1], np.float64)),
    )


def _retention(
    values: tuple[float, float],
    replicates: list[NDArray[np.float64]],
    estimate: Callable[[float, NDArray[np.float64]], Estimate],
) -> Estimate | None:
    clear, anonymized = replicates
    # Without a hit in a resample of the originals there is nothing to retain there.
    if values[0] == 0 or not (clear > 0).all():
        return None
    return estimate(retention_ratio(values[1], values[0]), anonymized / clear)
