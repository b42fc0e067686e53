"""Veil's own expression teacher: a residual net without normalisation layers for 48 × 48 grey faces.

Sources: A. Brock, S. De, S. Smith, Characterizing signal propagation to close the performance gap in unnormalized
ResNets, ICLR 2021 (scaled weight standardisation, growth of variance along the blocks, gains of the branches). Trained
by `veil train-teacher` on FER-2013 (I. Goodfellow et al., Challenges in Representation Learning, 2013).
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from veil.errors import AssetError, DataError
from veil.interfaces import CROP_SIZE, EXPRESSIONS
from veil.registry import expression_nets
from veil.runtime import load_weights
from veil.weights.frozen import FrozenNet

INPUT_SIZE = 48
WEIGHTS_FILE = "teacher.safetensors"
CARD_FILE = "card.json"
SHIPPED = Path(__file__).parent / "fer_resnet_weights"
"""Folder of the weights and the card that ship with Veil."""

# Where FER-2013's frame lies in an aligned crop: the median over the 1403 of 1500 random training images in which YuNet
# finds a face (scale 2.12, middle at (55.6, 63.8)). The training's random poses cover its spread.
_WINDOW_LEFT, _WINDOW_TOP, _WINDOW_SIZE = 4.66, 12.83, 101.86

_LUMA = (0.299, 0.587, 0.114)
_STEM, _WIDTHS, _BLOCKS_PER_STAGE = 32, (48, 96, 192), 2

_RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""Keeps the variance of a rectified standard normal variable at 1."""

_BRANCH_VARIANCE = 0.2**2
"""Variance that a residual branch adds at the start of training."""


class ScaledStandardisation(nn.Module):
    """Weights with mean 0 and variance 1 / fan-in for each output channel, times a learned gain.

    Args:
        channels: outputs of the convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, weight: Tensor) -> Tensor:
        variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, unbiased=False)
        return (weight - mean) * torch.rsqrt((variance * weight[0].numel()).clamp_min(1e-4)) * self.gain


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut.

    Args:
        inputs, outputs: channels.
        halve: whether height and width are halved.
        variance: expected variance of the input at the start of training.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool, variance: float) -> None:
        super().__init__()
        self.gain = _RELU_GAIN / math.sqrt(variance)
        self.halve = halve
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2 if halve else 1, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve else None
        self.branch_gain = nn.Parameter(torch.tensor(math.sqrt(_BRANCH_VARIANCE)))

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(x) * self.gain
        kept = x if self.shortcut is None else self.shortcut(F.avg_pool2d(active, 2))
        return kept + self.conv2(F.relu(self.conv1(active)) * _RELU_GAIN) * self.branch_gain


class ExpressionResNet(nn.Module):
    """Maps grey faces, float (B, 1, 48, 48) in [-1, 1], to logits (B, 7) in the order of EXPRESSIONS."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, _STEM, 3, padding=1)
        blocks, inputs, variance = [], _STEM, 1.0
        for width in _WIDTHS:
            for index in range(_BLOCKS_PER_STAGE):
                halve = index == 0
                blocks.append(ResidualBlock(inputs, width, halve, variance))
                # A convolved shortcut starts from variance 1 again, where the pixels that it pools are alike.
                variance = (1.0 if halve else variance) + _BRANCH_VARIANCE
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, len(EXPRESSIONS))

    def features(self, grey: Tensor) -> Tensor:
        """What the last layer classifies: float (B, 192), 0 or more."""
        return F.relu(self.blocks(self.stem(grey))).mean(dim=(2, 3))

    def forward(self, grey: Tensor) -> Tensor:
        return self.head(self.features(grey))

    def standardise(self) -> Self:
        """Train with scaled weight standardisation, which takes the place of normalisation layers."""
        for module in list(self.modules()):
            if isinstance(module, nn.Conv2d):
                parametrize.register_parametrization(module, "weight", ScaledStandardisation(module.out_channels))
        return self

    def fold(self) -> Self:
        """Make the standardised weights plain ones; the outputs stay the same."""
        for module in list(self.modules()):
            if isinstance(module, nn.Conv2d) and parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return self


@expression_nets.register("fer_resnet")
class FerResNet(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to calibrated logits (B, 7) in the order of EXPRESSIONS.

    Attributes:
        temperature: fitted on the validation part of the training's data; `forward` and `logits` have divided by it.
    """

    name = "fer_resnet"
    temperature: float
    luma: Tensor
    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = ExpressionResNet()
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1))
        steps = (torch.arange(INPUT_SIZE) + 0.5) / INPUT_SIZE * _WINDOW_SIZE
        # Pixel centres have whole coordinates; grid_sample's -1 and 1 are the outer edges of the crop.
        y, x = torch.meshgrid(steps + _WINDOW_TOP, steps + _WINDOW_LEFT, indexing="ij")
        self.register_buffer("grid", (torch.stack([x, y], dim=-1)[None] + 0.5) * (2 / CROP_SIZE) - 1)

    @classmethod
    def load(cls) -> Self:
        return cls.load_from(SHIPPED)

    @classmethod
    def load_from(cls, folder: Path) -> Self:
        """Load a teacher that `veil train-teacher` left in a folder.

        Raises:
            AssetError: the folder holds no such teacher.
        """
        net = cls()
        net.asset_sha256 = cls.weights_sha256(folder)
        try:
            net.temperature = float(json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))["temperature"])
            load_weights(folder / WEIGHTS_FILE, net.body)
        except (OSError, ValueError, TypeError, KeyError, DataError) as error:
            raise _no_teacher(folder, error) from None
        net.requires_grad_(False)
        return net.eval()

    @classmethod
    def weights_sha256(cls, folder: Path = SHIPPED) -> str:
        """SHA-256 of the weight file in a folder.

        Raises:
            AssetError: the folder holds no such file.
        """
        try:
            return hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
        except OSError as error:
            raise _no_teacher(folder, error) from None

    def grey(self, images: Tensor) -> Tensor:
        """What the net sees of a crop: float (B, 1, 48, 48) in [-1, 1]."""
        grey = (images * self.luma).sum(dim=1, keepdim=True)
        # Two crop pixels make one of the net's: blurred first, so that sampling skips nothing.
        grey = F.avg_pool2d(F.pad(grey, (0, 1, 0, 1), mode="replicate"), 2, stride=1)
        grid = (self.grid - 1 / CROP_SIZE).expand(len(images), -1, -1, -1)
        return F.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.grey(images))

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map crops to what the last layer classifies, (B, 192), and to calibrated logits (B, 7)."""
        features = self.body.features(self.grey(images))
        return features, self.body.head(features) / self.temperature

    def logits(self, grey: Tensor) -> Tensor:
        """Map grey faces in FER-2013's frame, float (B, 1, 48, 48) in [-1, 1], to calibrated logits (B, 7)."""
        return self.body(grey) / self.temperature


def _no_teacher(folder: Path, error: Exception) -> AssetError:
    return AssetError(
        f"{folder} holds no expression teacher ({error}); expected the {WEIGHTS_FILE} and {CARD_FILE} that "
        "`veil train-teacher` writes"
    )
