"""What anonymized faces look like: expression by the evaluator, realism, and whether a face is found at all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from veil.faces.cache import cached_outputs
from veil.faces.detection import Detector, detect_faces
from veil.faces.framing import Framing
from veil.faces.table import FaceTable, images_to_tensor, tensor_to_images
from veil.interfaces import EXPRESSIONS
from veil.metrics.bootstrap import bootstrap_mean
from veil.metrics.expression import (
    accuracy,
    class_collapse,
    cross_entropy,
    expected_calibration_error,
    js_divergence,
    kl_divergence,
    macro_f1,
    retention_ratio,
    top1_agreement,
)
from veil.metrics.realism import bootstrap_kid, fid, kid, lpips, psnr, ssim
from veil.protocol.measurement import People, Spread, estimate_number, estimate_rate
from veil.protocol.rendering import net_outputs
from veil.protocol.score import DetectionScore, Estimate, ExpressionScore, LabelledExpression, RealismScore

Bytes = NDArray[np.uint8]


class Look(NamedTuple):
    """What `Appearance.measure` finds.

    Attributes:
        objectives: utility, and realism where a feature net is given.
        spreads: their values in other samples of the people.
        utility_by_person: (n,), mean over each person's images.
        expression, realism: details.
        detection: None without a detector.
    """

    objectives: dict[str, Estimate]
    spreads: dict[str, Spread]
    utility_by_person: NDArray[np.float64]
    expression: ExpressionScore
    realism: RealismScore
    detection: DetectionScore | None


class Appearance:
    """Measures everything of anonymized faces that is not identity.

    Args:
        target: the original faces.
        people: the people, whose resamples all estimates share.
        evaluator: frozen expression net; has `name` and `asset_sha256`.
        detector: finds faces in crops; None measures no detection rate.
        features: frozen net whose features judge realism; None measures no KID.
        perceptual: frozen perceptual distance of two batches of images; None measures no LPIPS.
        cache: folder for what is computed once on the originals.
        device: where nets run.
    """

    def __init__(
        self,
        target: FaceTable,
        people: People,
        evaluator: nn.Module,
        detector: Detector | None,
        features: nn.Module | None,
        perceptual: nn.Module | None,
        cache: Path,
        device: str | torch.device,
    ) -> None:
        self._target = target
        self._people = people
        self._evaluator = evaluator
        self._detector = detector
        self._features = features
        self._perceptual = perceptual
        self._cache = cache
        self._device = device
        self._owners = people.person(np.asarray(target.identity_indices))

    def measure(self, images: Bytes, batch_size: int) -> Look:
        """Measure anonymized faces.

        Args:
            images: uint8 (N, 3, 112, 112), RGB, in the order of the originals.
            batch_size: of the nets.
        """
        objectives, spreads = {}, {}
        utilities, expression = self._expression(images, batch_size)
        spreads["utility"] = self._people.spread(bootstrap_mean(utilities, self._owners, self._people.samples))
        objectives["utility"] = estimate_rate(float(utilities.mean()), spreads["utility"].left_out)
        realism, spread = self._realism(images, batch_size)
        if realism.kid is not None and spread is not None:
            objectives["realism"], spreads["realism"] = realism.kid, spread
        by_person = self._people.mean_by_person(utilities, self._owners)
        return Look(objectives, spreads, by_person, expression, realism, self._detection(images))

    def _expression(self, images: Bytes, batch_size: int) -> tuple[NDArray[np.float64], ExpressionScore]:
        clear = self._on_originals(
            f"{self._evaluator.name}-posterior", str(self._evaluator.asset_sha256), self._posterior
        )
        anonymized = net_outputs(self._posterior, images, batch_size, self._device)
        divergences = js_divergence(clear, anonymized)
        shares = class_collapse(clear, anonymized)
        return 1.0 - divergences, ExpressionScore(
            js=float(divergences.mean()),
            kl=float(kl_divergence(clear, anonymized).mean()),
            top1_agreement=top1_agreement(clear, anonymized),
            largest_class_share=shares.largest,
            collapsed=shares.collapsed,
            labelled=score_labels(clear, anonymized, self._target.expression_labels),
        )

    def _realism(self, images: Bytes, batch_size: int) -> tuple[RealismScore, Spread | None]:
        published, originals = images_to_tensor(images), self._target.images
        values: dict[str, Any] = {"ssim": float(ssim(published, originals).mean()), "psnr": psnr(published, originals)}
        missing: dict[str, str] = {}
        spread = None
        if self._perceptual is None:
            missing["lpips"] = "no perceptual net was given"
        else:
            pair = published.to(self._device), originals.to(self._device)
            values["lpips"] = float(lpips(*pair, self._perceptual).mean())
        if self._features is None:
            missing |= {"kid": "no feature net was given", "fid": "no feature net was given"}
        else:
            net = self._features
            features = net_outputs(net, images, batch_size, self._device)
            references = self._on_originals(f"{net.name}-features", str(net.asset_sha256), net)
            spread = self._people.spread(bootstrap_kid(features, references, self._owners, self._people.samples))
            values["kid"] = estimate_number(kid(features, references, self._owners), spread.left_out)
            try:
                values["fid"] = fid(features, references)
            except ValueError as error:
                missing["fid"] = str(error)
        return RealismScore(**values, missing=missing), spread

    def _detection(self, images: Bytes) -> DetectionScore | None:
        if self._detector is None:
            return None
        detector = self._detector

        def found(originals: Tensor) -> Tensor:
            return torch.from_numpy(detected(detector, tensor_to_images(originals))).float()[:, None]

        clear = self._on_originals(f"{detector.name}-detection", detector.asset_sha256, found)
        return DetectionScore(clear=float(clear.mean()), anonymized=float(detected(detector, images).mean()))

    def _on_originals(self, name: str, sha: str, compute: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        outputs = cached_outputs(self._target, name, sha, lambda images: compute(images.to(self._device)), self._cache)
        return np.asarray(outputs)

    def _posterior(self, images: Tensor) -> Tensor:
        logits: Tensor = self._evaluator(images)
        return logits.float().softmax(dim=1)


def score_labels(
    clear: NDArray[np.floating], anonymized: NDArray[np.floating], labels: Sequence[str | None]
) -> LabelledExpression | None:
    """Compare posteriors with labels.

    Args:
        clear: (N, 7) posteriors on the originals.
        anonymized: (N, 7) posteriors on the anonymized images.
        labels: N names of expressions, None where an image is not labelled.

    Returns:
        None without labels, or where the evaluator reads none of them on the originals, so that nothing can be lost.
    """
    labelled = np.array([label is not None for label in labels], np.bool_)
    truth = np.array([EXPRESSIONS.index(label) for label in labels if label is not None], np.int64)
    if truth.size == 0:
        return None
    before, after = clear[labelled], anonymized[labelled]
    accuracies = accuracy(before, truth), accuracy(after, truth)
    if accuracies[0] == 0:
        return None
    scores = macro_f1(before, truth), macro_f1(after, truth)
    return LabelledExpression(
        n_images=int(truth.size),
        accuracy_clear=accuracies[0],
        accuracy=accuracies[1],
        accuracy_retention=retention_ratio(accuracies[1], accuracies[0]),
        macro_f1_clear=scores[0],
        macro_f1=scores[1],
        macro_f1_retention=retention_ratio(scores[1], scores[0]),
        cross_entropy=cross_entropy(after, truth),
        ece_clear=expected_calibration_error(before, truth),
        ece=expected_calibration_error(after, truth),
    )


def detected(detector: Detector, images: Bytes) -> NDArray[np.bool_]:
    """Whether a face is found in each crop.

    Args:
        detector: finds faces.
        images: uint8 (N, 3, 112, 112), RGB.

    Returns:
        (N,).
    """
    framing = Framing()
    pictures = np.ascontiguousarray(images.transpose(0, 2, 3, 1)[..., ::-1])
    return np.array([len(faces) > 0 for faces in detect_faces(detector, list(pictures), framing)], np.bool_)
