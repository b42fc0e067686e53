"""Outputs of another tool: found by the clear crop, cut where the face lies, and refused where they cannot be."""

import csv
import shutil

import cv2
import numpy as np
import pytest
import torch
from exported_faces import run_tool, write_export

from trainables.anonymizers.published import FRAMES, PublishedFaces, read_published
from veil.errors import DataError, ProtocolError
from veil.faces.align import align_face
from veil.faces.exported import MANIFEST, crop_sha256
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import FaceBatch

COUNT = 4
MATRIX = np.array([[0.6, 0.05, -8.0], [-0.05, 0.6, -20.0]])


def invert(pixels):
    return 255 - pixels


def batch(crops):
    return FaceBatch(images_to_tensor(np.stack(crops)), torch.zeros(len(crops), 68, 2))


@pytest.fixture(scope="module")
def photographs():
    """Smooth pictures, so that resizing changes them little."""
    noise = np.random.default_rng(0).uniform(0, 255, (COUNT, 12, 10, 3)).astype(np.float32)
    return [cv2.resize(one, (200, 240), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8) for one in noise]


@pytest.fixture
def export(photographs, tmp_path):
    write_export(tmp_path / "export", photographs, MATRIX)
    return tmp_path / "export"


@pytest.fixture(scope="module")
def crops(photographs):
    return [align_face(one, MATRIX) for one in photographs]


@pytest.mark.parametrize(
    ("suffix", "scale", "tolerance"), [(".png", 1.0, 0.0), (".jpg", 1.0, 2.0), (".png", 2.5, 1.0), (".webp", 0.5, 3.0)]
)
def test_each_face_is_answered_by_its_own_output(export, crops, tmp_path, suffix, scale, tolerance):
    def tool(pixels):
        return cv2.resize(invert(pixels), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)

    anonymizer = read_published(run_tool(export, tmp_path / "out", tool, suffix), export)
    order = [2, 0, 3, 1, 2]
    found = tensor_to_images(anonymizer(batch([crops[index] for index in order])))
    for image, index in zip(found, order, strict=True):
        assert np.abs(image.astype(int) - (255 - crops[index].astype(int))).mean() <= tolerance
    assert anonymizer.notes == ()


def frames(folder, **changes):
    """A tool that returns squares of 128 pixels, cut out of its input and squeezed."""
    lines = [
        {"file": f"search/{n // 2}/{n % 2:06}.jpg", "left": 6, "top": 20, "right": 196, "bottom": 236}
        for n in range(COUNT)
    ]
    lines[1] |= changes
    with (folder / FRAMES).open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def test_outputs_that_show_a_part_lie_where_the_frames_say(export, crops, tmp_path):
    def tool(pixels):
        return cv2.resize(invert(pixels)[20:236, 6:196], (128, 128), interpolation=cv2.INTER_AREA)

    out = run_tool(export, tmp_path / "out", tool)
    frames(out)
    found = tensor_to_images(read_published(out, export)(batch(crops)))
    inside = np.s_[:, :, 10:100, 10:100]
    assert np.abs(found.astype(int) - (255 - np.stack(crops).astype(int)))[inside].mean() < 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": "six"}, "frames.csv .*'six'.* expected the columns file, left, top, right, bottom"),
        ({"file": "search/0/000009.png"}, "has no line for search/0/000001.png"),
        ({"bottom": 60}, r"search/0/000001.png shows \(6.0, 20.0, 196.0, 60.0\).* the nose is at"),
    ],
)
def test_frames_that_cannot_be_right(export, tmp_path, changes, message):
    out = run_tool(export, tmp_path / "out", lambda pixels: cv2.resize(invert(pixels), (128, 128)))
    frames(out, **changes)
    with pytest.raises(DataError, match=message):
        read_published(out, export)


def test_faces_that_were_never_exported_are_refused(export, crops, tmp_path):
    anonymizer = read_published(run_tool(export, tmp_path / "out", invert), export)
    stranger = np.zeros_like(crops[0])
    with pytest.raises(ProtocolError, match=r"1 of 3 faces are none of the 4 .* `veil export`"):
        anonymizer(batch([crops[0], stranger, crops[1]]))


def test_outputs_that_show_the_original_are_counted(export, tmp_path):
    out = run_tool(export, tmp_path / "out", invert, ".jpg")
    (out / "search/1/000000.jpg").unlink()
    cv2.imwrite(str(out / "search/1/000000.jpg"), cv2.imread(str(export / "search/1/000000.png")))
    assert read_published(out, export).notes == ("1 of 4 faces were published as they were: search/1/000000.png.",)


def break_missing(export, out):
    (out / "search/0/000001.png").unlink()
    (out / "search/1/000000.png").unlink()


def break_unreadable(export, out):
    (out / "search/0/000001.png").write_bytes(b"PNG")


def break_cropped(export, out):
    cv2.imwrite(str(out / "search/0/000001.png"), np.zeros((100, 200, 3), np.uint8))


def break_ambiguous(export, out):
    shutil.copy(out / "search/0/000001.png", out / "search/0/000001.jpg")


def break_copied(export, out):
    shutil.copytree(export, out, dirs_exist_ok=True)


def break_original(export, out):
    cv2.imwrite(str(export / "search/0/000001.png"), np.zeros((240, 200, 3), np.uint8))


def break_originals(export, out):
    shutil.rmtree(export / "search")


def break_manifest(export, out):
    (export / MANIFEST).unlink()


def break_json(export, out):
    (export / MANIFEST).write_text('{"faces": []}')


def break_folder(export, out):
    shutil.rmtree(out)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_missing, r"lacks 2 of 4 outputs \(search/0/000001.png, search/1/000000.png\); run the tool on all"),
        (break_unreadable, r"search/0/000001.png cannot be read as an image \(not an image\)"),
        (break_cropped, "another aspect ratio"),
        (break_ambiguous, "differ in their extension alone"),
        (break_copied, "every face in .* is the original's; give the folder of the tool's outputs"),
        (break_original, "000001.png is no longer what `veil export` wrote; let the tool write to a folder of its own"),
        (break_originals, "cannot read .*000000.png: No such file"),
        (break_manifest, "veil-export.json: No such file.* expected a folder that `veil export` wrote"),
        (break_json, "veil-export.json is damaged or of another version.*'datasets'"),
        (break_folder, "folder .*out does not exist"),
    ],
)
def test_what_cannot_be_paired_is_one_clear_error(export, tmp_path, damage, message):
    out = run_tool(export, tmp_path / "out", invert)
    damage(export, out)
    with pytest.raises(DataError, match=message):
        read_published(out, export)


def test_what_is_kept_needs_neither_folder(crops, tmp_path):
    PublishedFaces({crop_sha256(crop): 255 - crop for crop in crops}, ["One thing."]).save(tmp_path / "kept.npz")
    again = PublishedFaces.load(tmp_path / "kept.npz")
    assert again.notes == ("One thing.",)
    assert np.array_equal(tensor_to_images(again(batch(crops))), 255 - np.stack(crops))
    (tmp_path / "kept.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"kept.npz: .* outputs that a finished trial kept"):
        PublishedFaces.load(tmp_path / "kept.npz")
