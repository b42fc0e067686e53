"""What anonymized faces look like: expression by the evaluator, likeness to the original, whether faces are found."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from veil.faces.cache import cached_outputs
from veil.faces.detection import Detector, Framing, detect_faces
from veil.faces.table import FaceTable, images_to_tensor, tensor_to_images
from veil.metrics.bootstrap import bootstrap_mean
from veil.metrics.expression import class_collapse, js_divergence, kl_divergence, top1_agreement
from veil.metrics.realism import psnr, ssim
from veil.protocol.measurement import People, Spread, estimate_number, estimate_rate
from veil.protocol.rendering import net_outputs
from veil.protocol.score import DetectionScore, Estimate, ExpressionScore, RealismScore

Bytes = NDArray[np.uint8]


class Look(NamedTuple):
    """What `Appearance.measure` finds.

    Attributes:
        objectives: utility and realism.
        spreads: their values in other samples of the people.
        expression, realism: details.
        detection: None without a detector.
    """

    objectives: dict[str, Estimate]
    spreads: dict[str, Spread]
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
        cache: folder for what is computed once on the originals.
        device: where nets run.
    """

    def __init__(
        self,
        target: FaceTable,
        people: People,
        evaluator: nn.Module,
        detector: Detector | None,
        cache: Path,
        device: str | torch.device,
    ) -> None:
        self._target = target
        self._people = people
        self._evaluator = evaluator
        self._detector = detector
        self._cache = cache
        self._device = device
        self._owners = people.person(np.asarray(target.identity_indices))

    def measure(self, images: Bytes, batch_size: int) -> Look:
        """Measure anonymized faces.

        Args:
            images: uint8 (N, 3, 112, 112), RGB, in the order of the originals.
            batch_size: of the nets.
        """
        divergences, expression = self._expression(images, batch_size)
        similarities, realism = self._realism(images)
        objectives, spreads = {}, {}
        for name, values, interval in (
            ("utility", 1.0 - divergences, estimate_rate),
            ("realism", similarities, estimate_number),
        ):
            spreads[name] = self._people.spread(bootstrap_mean(values, self._owners, self._people.samples))
            objectives[name] = interval(float(values.mean()), spreads[name].left_out)
        return Look(objectives, spreads, expression, realism, self._detection(images))

    def _expression(self, images: Bytes, batch_size: int) -> tuple[NDArray[np.float64], ExpressionScore]:
        clear = self._on_originals(
            f"{self._evaluator.name}-posterior", str(self._evaluator.asset_sha256), self._posterior
        )
        anonymized = net_outputs(self._posterior, images, batch_size, self._device)
        divergences = js_divergence(clear, anonymized)
        shares = class_collapse(clear, anonymized)
        return divergences, ExpressionScore(
            js=float(divergences.mean()),
            kl=float(kl_divergence(clear, anonymized).mean()),
            top1_agreement=top1_agreement(clear, anonymized),
            largest_class_share=shares.largest,
            collapsed=shares.collapsed,
        )

    def _realism(self, images: Bytes) -> tuple[NDArray[np.float64], RealismScore]:
        published, originals = images_to_tensor(images), self._target.images
        similarities = ssim(published, originals)
        return similarities, RealismScore(ssim=float(similarities.mean()), psnr=psnr(published, originals))

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
    return np.array([len(detect_faces(detector, picture, framing)) > 0 for picture in pictures], np.bool_)
