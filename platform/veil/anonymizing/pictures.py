"""Reading photographs, and writing them without anything but pixels."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin

from veil.errors import ConfigError
from veil.faces.images import FORMATS, UnreadableImageError, decode_image

PictureFormat = Literal["same", "png"]

SUFFIXES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)
"""Of files that are read as photographs."""

_WRITTEN: Mapping[str, Mapping[str, Any]] = {
    "BMP": {},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {},
    "PPM": {},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "WEBP": {"lossless": True},
}
"""Formats that are written, and how; all but JPEG hold the pixels exactly. What comes in another format becomes PNG."""


@dataclass(frozen=True)
class Picture:
    """A decoded photograph.

    Attributes:
        pixels: uint8 (H, W, 3), BGR, upright.
        jpeg: settings with which a JPEG file is written as it was, so that least is lost; empty for other formats.
        profile: embedded ICC profile; empty if there is none.
        notes: what of the file does not reach the pixels, for people.
    """

    pixels: np.ndarray
    jpeg: Mapping[str, Any] = field(default_factory=dict)
    profile: bytes = b""
    notes: tuple[str, ...] = ()


def read_picture(content: bytes) -> Picture:
    """Decode a photograph as `veil.faces.images.decode_image` does.

    Raises:
        UnreadableImageError: the file is no photograph, or damaged.
    """
    pixels = decode_image(content)
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        frames = getattr(image, "n_frames", 1)
        notes = [f"{frames - 1} further pictures in the file are left out"] if frames > 1 else []
        if image.has_transparency_data:
            notes.append("what was transparent is white")
        if image.mode.startswith("I"):
            notes.append("16 bits became 8")
        jpeg: dict[str, Any] = {}
        if isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode == "RGB":
            # Coarser tables would lose more, finer ones would only store the losses of the original.
            jpeg = {"qtables": image.quantization, "subsampling": JpegImagePlugin.get_sampling(image)}
        return Picture(pixels, jpeg, image.info.get("icc_profile") or b"", tuple(notes))


def output_name(path: Path, wanted: PictureFormat) -> str:
    """Name of the anonymized file: the same, or with .png behind it where the format has to be another.

    >>> output_name(Path("a/me.jpg"), "same"), output_name(Path("a/me.jpg"), "png"), output_name(Path("me.gif"), "same")
    ('me.jpg', 'me.jpg.png', 'me.gif.png')
    """
    kind = Image.registered_extensions()[path.suffix.lower()]
    return path.name if kind == "PNG" or (wanted == "same" and kind in _WRITTEN) else f"{path.name}.png"


def written_format(path: Path) -> str:
    """Pillow's name of the format in which a file of this suffix is written.

    Raises:
        ConfigError: there is none.
    """
    kind = Image.registered_extensions().get(path.suffix.lower(), "")
    if kind not in _WRITTEN:
        known = sorted(suffix for suffix, name in Image.registered_extensions().items() if name in _WRITTEN)
        raise ConfigError(f"{path}: photographs are not written as {path.suffix!r}; expected one of {', '.join(known)}")
    return kind


def encode_picture(pixels: np.ndarray, kind: str, source: Picture) -> tuple[bytes, tuple[str, ...]]:
    """Make a file of pixels alone: no EXIF, GPS, XMP, comments, thumbnails or colour profile.

    Args:
        pixels: uint8 (H, W, 3), BGR.
        kind: Pillow's name of the format.
        source: the original, for its quantization tables and its colours.

    Returns:
        The file and what there is to say about it.

    Raises:
        UnreadableImageError: the format cannot hold a picture of this size.
    """
    image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    image, notes = _to_srgb(image, source.profile)
    if kind in ("PPM", "PNG", "TIFF") and (np.ptp(pixels, axis=2) == 0).all():
        image = image.convert("L")
    settings = source.jpeg if kind == "JPEG" and source.jpeg else _WRITTEN[kind]
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **settings)
    except (OSError, ValueError) as error:  # WebP holds no sides above 16383 pixels
        raise UnreadableImageError(f"{image.width}×{image.height} pixels cannot be written as {kind}") from error
    return buffer.getvalue(), notes


def _to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """A picture in the colours that everybody assumes of one without a profile."""
    if not profile:
        return image, ()
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return image, ()
        converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError) as error:
        return image, (f"the colour profile is left out, for it cannot be applied ({error})",)
    assert converted is not None
    return converted, ("colours were converted to sRGB, the profile is left out",)
