"""Image files of every kind to pixels, and one reason for each that is refused."""

import io
import zlib
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from veil.faces.images import UnreadableImageError, decode_image

RGB = data.astronaut()[:160, 100:300]
GREY = data.camera()[:40, :60]


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def with_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: lambda image: np.rot90(image, 3),
}
"""How the camera stored an upright picture, by EXIF orientation."""


@pytest.mark.parametrize("number", range(1, 9))
def test_pictures_are_turned_upright(number: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[number](RGB)))
    for format in ("PNG", "TIFF"):
        decoded = decode_image(encode(stored, format, exif=with_orientation(number)))
        np.testing.assert_array_equal(decoded, RGB[..., ::-1])
    jpeg = encode(stored, "JPEG", exif=with_orientation(number))
    np.testing.assert_array_equal(decode_image(jpeg), cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def test_broken_metadata_does_not_cost_the_picture() -> None:
    jpeg = encode(Image.fromarray(RGB), "JPEG", exif=with_orientation(6))
    start = jpeg.index(b"Exif\0\0") + 6
    broken = jpeg[:start] + b"XX" + jpeg[start + 2 :]
    assert decode_image(jpeg).shape == (200, 160, 3)
    assert decode_image(broken).shape == (160, 200, 3)


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def rgba_picture() -> np.ndarray:
    alpha = np.tile(np.linspace(0, 255, RGB.shape[1]).astype(np.uint8), (RGB.shape[0], 1))
    return np.dstack([RGB, alpha])


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


GREY16 = GREY.astype(np.uint16) * 256 + 200
FIRST, SECOND = Image.fromarray(RGB).quantize(), Image.fromarray(255 - RGB).quantize()
WEB, OTHER = Image.fromarray(RGB), Image.fromarray(255 - RGB)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(encode(Image.fromarray(GREY), "PNG"), three(GREY), id="grey"),
        pytest.param(encode(Image.fromarray(GREY), "PPM"), three(GREY), id="pgm"),
        pytest.param(encode(Image.fromarray(GREY > 99), "PNG"), three((GREY > 99) * 255), id="one bit"),
        pytest.param(encode(Image.fromarray(GREY16), "PNG"), three(GREY), id="grey of 16 bits"),
        pytest.param(encode(Image.fromarray(GREY16), "TIFF"), three(GREY), id="tiff of 16 bits"),
        pytest.param(
            cv2.imencode(".png", RGB[..., ::-1].astype(np.uint16) * 256 + 200)[1].tobytes(), RGB, id="rgb of 16 bits"
        ),
        pytest.param(encode(Image.fromarray(rgba_picture()), "PNG"), on_white(rgba_picture()), id="rgba"),
        pytest.param(
            encode(Image.fromarray(np.dstack([GREY, GREY // 2]), "LA"), "PNG"),
            on_white(np.dstack([GREY, GREY, GREY, GREY // 2])),
            id="grey and alpha",
        ),
        pytest.param(encode(FIRST, "PNG"), np.asarray(FIRST.convert("RGB")), id="palette"),
        pytest.param(
            encode(FIRST, "PNG", transparency=bytes(256)), np.full_like(RGB, 255), id="palette, all transparent"
        ),
        pytest.param(
            encode(FIRST, "GIF", save_all=True, append_images=[SECOND]), np.asarray(FIRST.convert("RGB")), id="gif"
        ),
        pytest.param(encode(WEB, "WEBP", save_all=True, append_images=[OTHER], lossless=True), RGB, id="animated webp"),
        pytest.param(encode(WEB, "TIFF", save_all=True, append_images=[OTHER]), RGB, id="tiff of two pages"),
        pytest.param(encode(Image.fromarray(RGB[:1, :1]), "PNG"), RGB[:1, :1], id="one pixel"),
    ],
)
def test_every_kind_of_pixel(content: bytes, expected: np.ndarray) -> None:
    decoded = decode_image(content)
    assert decoded.dtype == np.uint8
    assert decoded.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(decoded[..., ::-1], expected, atol=1)


def test_cmyk_jpeg_has_the_colours_of_its_print() -> None:
    jpeg = encode(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode_image(jpeg)[..., ::-1].astype(int) - RGB).mean() < 3


JPEG = encode(Image.fromarray(RGB), "JPEG")
PHOTOGRAPHS = {
    "jpeg": JPEG,
    "progressive jpeg": encode(Image.fromarray(RGB), "JPEG", progressive=True),
    "png": encode(Image.fromarray(RGB), "PNG"),
    "gif": encode(FIRST, "GIF"),
    "webp": encode(WEB, "WEBP"),
    "bmp": encode(WEB, "BMP"),
    "tiff": encode(WEB, "TIFF", compression="tiff_lzw"),
    "pgm": encode(Image.fromarray(GREY), "PPM"),
}


@pytest.mark.parametrize("kind", PHOTOGRAPHS)
def test_a_photograph_that_was_cut_off_is_refused(kind: str) -> None:
    content = PHOTOGRAPHS[kind]
    assert decode_image(content).size > 0
    # The last bytes may be check sums and end marks, after the whole picture.
    for length in np.linspace(1, 0.98 * len(content), 40).astype(int):
        with pytest.raises(UnreadableImageError, match="not an image|damaged or cut off"):
            decode_image(content[:length])


def black_png(width: int, height: int, rows: int | None = None) -> bytes:
    """A black PNG of one bit a pixel, with as many rows as it claims, or fewer."""
    body = zlib.compress(bytes((1 + (width + 7) // 8) * (height if rows is None else rows)), level=1)

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + checksum

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda: b"", "empty file", id="empty"),
        pytest.param(lambda: b"The quick brown fox", "not an image", id="text"),
        pytest.param(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image", id="postscript"),
        pytest.param(lambda: JPEG[:200] + bytes(300), "damaged or cut off", id="zeros"),
        pytest.param(partial(black_png, 20_000, 8_000, rows=1), "larger than 150 megapixels", id="many pixels"),
        pytest.param(partial(black_png, 40_000, 10), "32766 pixels on a side", id="long"),
        pytest.param(partial(black_png, 60_000, 60_000, rows=1), "larger than 150 megapixels", id="bomb"),
        pytest.param(
            lambda: encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "floating-point pixels", id="float"
        ),
        pytest.param(
            lambda: encode(Image.fromarray(GREY.astype(np.int32) << 20), "TIFF"), "more than 16 bits", id="32 bits"
        ),
    ],
)
def test_reasons(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        decode_image(make())


def test_a_panorama_is_read() -> None:
    assert decode_image(black_png(20_000, 400)).shape == (400, 20_000, 3)


def test_damaged_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(0)
    read = 0
    for content in PHOTOGRAPHS.values():
        for _ in range(40):
            damaged = bytearray(content)
            for place in rng.integers(0, min(len(content), int(rng.choice([60, 400, 10**6]))), 5):
                damaged[place] = rng.integers(256)
            try:
                assert decode_image(bytes(damaged)).ndim == 3
                read += 1
            except UnreadableImageError:
                continue
    assert 0 < read < 320
