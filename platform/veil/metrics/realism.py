"""Likeness of anonymized images to their originals one by one, and to real images as a population."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh
from torch import Tensor

from veil.metrics.resampling import Floats, Ints

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


def lpips(
    images: Tensor, references: Tensor, net: Callable[[Tensor, Tensor], Tensor], batch_size: int = 32
) -> NDArray[np.float64]:
    """Learned perceptual distance of each pair.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        references: (N, 3, H, W) in [-1, 1].
        net: frozen; maps two (B, 3, H, W) in [-1, 1] to distances (B,).
        batch_size: images at once, for memory.

    Returns:
        (N,), at least 0; 0 for equal images.

    Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric" (CVPR, 2018).

    >>> lpips(torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8), lambda a, b: (a - b).abs().mean(dim=(1, 2, 3)))
    array([1., 1.])
    """
    _check(images, references)
    with torch.no_grad():
        parts = [net(*pair) for pair in zip(images.split(batch_size), references.split(batch_size), strict=True)]
    return torch.cat(parts).double().cpu().numpy()


def kid(features: NDArray[np.floating], references: NDArray[np.floating], identities: Ints | None = None) -> float:
    """Kernel inception distance: unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

    Without identities all images must be independent. An anonymized image is not independent of its original, nor of
    other images of that person: comparing those would make a KID of few images too low, and negative for an anonymizer
    that changes nothing. With identities, only images of different people are compared.

    Args:
        features: (N, D) of anonymized images, N > 1.
        references: (M, D) of real images, M > 1.
        identities: (N,), person of each image, where `references` are the originals in the same order, M = N.

    Returns:
        0 on average for equal distributions, and then often slightly negative.

    Raises:
        ValueError: fewer than two images on a side or two people, different D, or a feature that is not finite.

    Source: Binkowski et al., "Demystifying MMD GANs" (ICLR, 2018); for pairs, Gretton et al., "A kernel two-sample
    test" (JMLR, 2012), equation 4.

    >>> x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    >>> kid(x, y), kid(x, x)
    (297.5, -3.5)
    >>> kid(x, y, np.array([0, 1])), kid(x, x, np.array([0, 1]))
    (316.0, 0.0)
    """
    if identities is not None:
        people, owners = np.unique(identities, return_inverse=True)
        if people.size < 2:
            raise ValueError(f"KID over people needs at least 2, found {people.size}")
        return float(bootstrap_kid(features, references, owners, np.ones((1, people.size)))[0])
    x, y = _features(features, references)
    kernels = _cubic(x, x), _cubic(y, y)
    within = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in kernels]
    return float(sum(within) - 2 * _cubic(x, y).mean())


def bootstrap_kid(
    features: NDArray[np.floating], references: NDArray[np.floating], identities: Ints, multiplicities: Floats
) -> Floats:
    """KID over images of different people in each resample of the people.

    Args:
        features: (N, D) of anonymized images.
        references: (N, D) of the originals, in the same order.
        identities: (N,), person of each image, in 0..n-1.
        multiplicities: (R, n), from `veil.metrics.bootstrap`; copies of one person are not compared either.

    Returns:
        (R,); NaN in the resamples with a single person.

    >>> x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    >>> bootstrap_kid(x, y, np.array([0, 1]), np.array([[1.0, 1.0], [2.0, 0.0]]))
    array([316.,  nan])
    """
    x, y = _features(features, references)
    if not len(x) == len(y) == len(identities):
        raise ValueError(
            f"expected one reference and one identity a feature, found {len(x)}, {len(y)} features and "
            f"{len(identities)} identities"
        )
    n = multiplicities.shape[1]
    # Pairs of images summed to pairs of people; the sum of h(i, j) of Gretton et al., and the number of its terms.
    member = (identities[:, None] == np.arange(n)).astype(np.float64)
    kernel = _cubic(x, x) + _cubic(y, y) - _cubic(x, y) - _cubic(y, x)
    others = 1.0 - np.eye(n)
    images = member.sum(axis=0)
    sums, counts = member.T @ kernel @ member * others, np.outer(images, images) * others
    with np.errstate(invalid="ignore"):
        return ((multiplicities @ sums) * multiplicities).sum(axis=1) / (
            (multiplicities @ counts) * multiplicities
        ).sum(axis=1)


def fid(features: NDArray[np.floating], references: NDArray[np.floating], min_samples: int = 2048) -> float:
    """Frechet inception distance: of two normal distributions with the moments of the features.

    Args:
        features: (N, D) of anonymized images.
        references: (M, D) of real images.
        min_samples: images a side below which it is refused, because its bias then exceeds what it measures.

    Returns:
        At least 0.

    Raises:
        ValueError: too few images, different D, or a feature that is not finite.

    Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium"
    (NeurIPS, 2017); its bias: Chong and Forsyth, "Effectively unbiased FID and Inception Score" (CVPR, 2020).

    >>> round(fid(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]), min_samples=2), 6)
    9.0
    """
    x, y = _features(features, references)
    if min(len(x), len(y)) < min_samples:
        raise ValueError(
            f"FID of {len(x)} and {len(y)} images is refused: below {min_samples} a side its bias exceeds what it "
            "measures; report KID, which is unbiased"
        )
    cov_x, cov_y = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    # tr sqrt(A B) = tr sqrt(sqrt(A) B sqrt(A)), which stays symmetric and real where A B does not.
    values, vectors = eigh(cov_x)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    overlap = np.sqrt(np.maximum(eigvalsh(root @ cov_y @ root), 0)).sum()
    distance = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2) + np.trace(cov_x) + np.trace(cov_y) - 2 * overlap
    return float(max(distance, 0.0))


def _cubic(x: Floats, y: Floats) -> Floats:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _features(features: NDArray[np.floating], references: NDArray[np.floating]) -> tuple[Floats, Floats]:
    x, y = np.asarray(features, dtype=np.float64), np.asarray(references, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"expected (N, D) and (M, D) features with N and M > 1, found {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("features must be finite")
    return x, y


def _check(images: Tensor, references: Tensor) -> None:
    if images.shape != references.shape or images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"expected two (N, 3, H, W) tensors of one shape with N > 0, "
            f"found {tuple(images.shape)} and {tuple(references.shape)}"
        )
