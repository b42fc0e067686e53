"""Photographs: pixels survive as exactly as the format allows, and nothing else does."""

import io

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from veil.anonymizing.pictures import Picture, encode_picture, read_picture
from veil.faces.images import UnreadableImageError, decode_image

SECRET = b"secret-of-the-owner"


def _scene(height=96, width=144):
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)


def _file(pixels, kind, **settings):
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., ::-1]).save(buffer, kind, **settings)
    return buffer.getvalue()


def _swapped_profile():
    """An ICC profile whose red is the green of sRGB and the other way round, under another name."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = content.index(b"rXYZ"), content.index(b"gXYZ")
    content[red : red + 4], content[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(content).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be")).replace(b"sRGB", b"mine")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP"])
def test_lossless_formats_hold_every_pixel(kind):
    scene = _scene()
    content, notes = encode_picture(scene, kind, Picture(scene))
    assert np.array_equal(decode_image(content), scene) and notes == ()
    grey = np.repeat(scene[..., :1], 3, axis=2)
    content, _ = encode_picture(grey, kind, Picture(grey))
    assert np.array_equal(decode_image(content), grey)
    if kind in ("PNG", "PPM", "TIFF"):
        assert Image.open(io.BytesIO(content)).mode == "L"


@pytest.mark.parametrize(("quality", "subsampling"), [(60, "4:2:0"), (90, "4:4:4"), (97, "4:2:2")])
def test_jpeg_is_written_with_its_own_tables_so_that_next_to_nothing_changes(quality, subsampling):
    original = _file(_scene(), "JPEG", quality=quality, subsampling=subsampling)
    picture = read_picture(original)
    again, _ = encode_picture(picture.pixels, "JPEG", picture)
    same, other = (Image.open(io.BytesIO(content)) for content in (original, again))
    assert same.quantization == other.quantization
    change = np.abs(decode_image(again).astype(int) - picture.pixels)
    assert change.max() <= 6 and (change == 0).mean() > 0.8


def test_orientation_is_applied_and_all_but_pixels_is_gone():
    scene = _scene()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = SECRET.decode()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (47.0, 1.0, 2.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    original = _file(
        scene,
        "JPEG",
        quality=95,
        subsampling="4:4:4",
        exif=exif,
        comment=SECRET,
        icc_profile=profile,
        xmp=b"<x>" + SECRET,
    )
    assert original.count(SECRET) == 3
    picture = read_picture(original)
    assert np.abs(picture.pixels.astype(int) - cv2.rotate(scene, cv2.ROTATE_90_CLOCKWISE)).mean() < 2
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        content, _ = encode_picture(picture.pixels, kind, picture)
        image = Image.open(io.BytesIO(content))
        assert SECRET not in content and b"secret" not in content
        assert not dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
        assert not {"exif", "xmp", "icc_profile", "comment", "XML:com.adobe.xmp"} & set(image.info)
        assert np.array_equal(decode_image(content).shape, picture.pixels.shape)


def test_colours_of_a_profile_become_srgb():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 255
    picture = read_picture(_file(red, "PNG", icc_profile=_swapped_profile()))
    assert np.array_equal(picture.pixels, red)  # faces are found in the pixels as they are stored
    content, (note,) = encode_picture(picture.pixels, "PNG", picture)
    assert np.abs(decode_image(content).astype(int) - [0, 255, 0]).max() <= 3 and "sRGB" in note
    content, (note,) = encode_picture(red, "PNG", picture.__class__(red, profile=b"no profile"))
    assert np.array_equal(decode_image(content), red) and "cannot be applied" in note


def test_what_does_not_reach_the_pixels_is_told():
    frames = [Image.fromarray(_scene()).convert("P") for _ in range(3)]
    frames[1].putpixel((0, 0), 3)
    frames[2].putpixel((9, 9), 7)
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert read_picture(buffer.getvalue()).notes == ("2 further pictures in the file are left out",)
    clear = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(clear, "PNG")
    assert read_picture(clear.getvalue()).notes == ("what was transparent is white",)


def test_a_picture_that_a_format_cannot_hold_is_refused():
    long = np.zeros((2, 16_400, 3), np.uint8)
    with pytest.raises(UnreadableImageError, match="16400×2 pixels cannot be written as WEBP"):
        encode_picture(long, "WEBP", Picture(long))
