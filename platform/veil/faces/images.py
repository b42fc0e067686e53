"""Image files of any common format to pixels, or one reason why not."""

import io
import struct
import warnings

import cv2
import numpy as np
from PIL import ExifTags, Image

from veil.errors import DataError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded. Pillow knows more, some through other programs; no photographs come in those."""

MAX_PIXELS = 150_000_000
MAX_SIDE = 32_766
"""Larger pictures are refused: a file of a few bytes can claim any size, and OpenCV 4 warps no longer side."""

_TOO_LARGE = f"larger than {MAX_PIXELS // 10**6} megapixels or {MAX_SIDE} pixels on a side"

# What Pillow's decoders raise on damaged files.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, RuntimeError, struct.error)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(DataError):
    """A file cannot be used as an image; the message is the reason alone, in a few words that group well."""


def decode_image(content: bytes) -> np.ndarray:
    """Decode an image file to the pixels that a viewer shows.

    The picture is turned and mirrored as its EXIF orientation says. Grey becomes three equal channels, 16 bits become
    the upper 8, CMYK and palettes become RGB, and what is transparent lies on white. Of an animation, or a file of
    several pictures, the first is taken. Colour profiles are not applied.

    Args:
        content: the whole file.

    Returns:
        uint8 (H, W, 3), in OpenCV's BGR order.

    Raises:
        UnreadableImageError: the file is empty, not an image, too large, or damaged. A photograph that was cut off is
            not filled with grey.
    """
    if not content:
        raise UnreadableImageError("empty file")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
                raise UnreadableImageError(_TOO_LARGE)
            # Loaded before its orientation is read: Pillow itself turns TIFFs, and only then forgets how.
            image.load()
            turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
            rgb = _to_rgb(image if turn is None else image.transpose(turn))
    except Image.UnidentifiedImageError:
        raise UnreadableImageError("not an image") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(_TOO_LARGE) from None
    except _DECODER_ERRORS as error:
        raise UnreadableImageError("damaged or cut off") from error
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise UnreadableImageError("floating-point pixels")
    if image.mode.startswith("I"):  # grey of 16 bits; Pillow's own conversion would clip at 255
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 0xFFFF:
            raise UnreadableImageError("pixels of more than 16 bits")
        return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))
