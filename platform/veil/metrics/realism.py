"""Image similarity between an original and its anonymized version."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BORDER = 5  # half of the 11 x 11 window: nearer to the edge a window would need pixels that do not exist


def ssim(images: Tensor, references: Tensor, batch_size: int = 32) -> NDArray[np.float64]:
    """Structural similarity (Wang et al., 2004; Gaussian window, sigma 1.5, whole windows only) of each pair.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        references: (N, 3, H, W) in [-1, 1].
        batch_size: images at once, for memory.

    Returns:
        (N,) in [-1, 1]; 1 for equal images.

    >>> image = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    >>> ssim(image, image).round(6)
    array([1.])
    """
    # Here, because importing torchmetrics takes seconds, and every driver and worker imports this module.
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check(images, references)
    values = []
    for start in range(0, len(images), batch_size):
        # The luminance term is defined for intensities of at least 0, hence [0, 1].
        _, full = structural_similarity_index_measure(
            (images[start : start + batch_size] + 1) / 2,
            (references[start : start + batch_size] + 1) / 2,
            data_range=1.0,
            reduction="none",
            return_full_image=True,
        )
        values.append(full[..., _BORDER:-_BORDER, _BORDER:-_BORDER].mean(dim=(1, 2, 3)))
    return torch.cat(values).double().cpu().numpy()


def psnr(images: Tensor, references: Tensor) -> float | None:
    """Peak signal-to-noise ratio in decibels over all images together.

    Returns:
        Decibels, or None where the images are equal and the ratio is infinite.

    >>> round(psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.2)), 3)
    20.0
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    _check(images, references)
    decibels = float(peak_signal_noise_ratio(images, references, data_range=2.0))
    return decibels if np.isfinite(decibels) else None


def _check(images: Tensor, references: Tensor) -> None:
    if images.shape != references.shape or images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"expected two (N, 3, H, W) tensors of one shape with N > 0, "
            f"found {tuple(images.shape)} and {tuple(references.shape)}"
        )
