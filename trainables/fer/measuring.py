"""Calibration of an expression net, and how well it reads labelled faces.

Shapes: N images, B images of a batch, K = 7 expressions.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.fer.faces import LabelledFaces
from trainables.fer.views import to_grey
from veil.interfaces import EXPRESSIONS
from veil.metrics.expression import accuracy, expected_calibration_error, macro_f1

_EVALUATION_BATCH = 256
_TEMPERATURES = (0.05, 20.0)


class Mirrored(nn.Module):
    """Mean of the logits of a face and of its mirror image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, grey: Tensor) -> Tensor:
        return (self.net(grey) + self.net(grey.flip(-1))) / 2


@torch.no_grad()
def predict(net: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits, float32 (N, 7), of grey faces, uint8 (N, 48, 48)."""
    device = next(net.parameters()).device
    batches = (images[start : start + _EVALUATION_BATCH] for start in range(0, len(images), _EVALUATION_BATCH))
    return np.concatenate([net(to_grey(batch).to(device)).float().cpu().numpy() for batch in batches])


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Temperature that gives softmax(logits / temperature) the smallest cross-entropy to the targets.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Args:
        logits: (N, 7).
        targets: (N, 7), probabilities.
    """

    def cost(log_temperature: float) -> float:
        scaled = torch.from_numpy(np.asarray(logits, np.float64)) / math.exp(log_temperature)
        return float(F.cross_entropy(scaled, torch.from_numpy(np.asarray(targets, np.float64))))

    bounds = tuple(math.log(limit) for limit in _TEMPERATURES)
    return float(math.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))


def measure(net: nn.Module, faces: LabelledFaces, temperature: float) -> dict[str, Any]:
    """Accuracy, macro-F1, ECE before and after calibration, and the confusion matrix (rows: true expression)."""
    logits = predict(net, faces.images).astype(np.float64)
    raw, posteriors = softmax(logits, axis=1), softmax(logits / temperature, axis=1)
    labels, k = faces.labels, len(EXPRESSIONS)
    return {
        "accuracy": round(accuracy(posteriors, labels), 4),
        "macro_f1": round(macro_f1(posteriors, labels), 4),
        "ece": round(expected_calibration_error(posteriors, labels), 4),
        "ece_uncalibrated": round(expected_calibration_error(raw, labels), 4),
        "confusion": np.bincount(k * labels + posteriors.argmax(axis=1), minlength=k * k).reshape(k, k).tolist(),
    }
