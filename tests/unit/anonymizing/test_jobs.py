"""Which file becomes which, and that an input is never overwritten."""

import pytest

from veil.anonymizing.jobs import list_jobs
from veil.errors import ConfigError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.jpg", "b/c.PNG", "b/film.avi", "b/anim.gif", "raw.CR2", "notes.txt", ".hidden.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_is_mirrored(photos, tmp_path):
    jobs = list_jobs(photos, tmp_path / "out", "same")
    assert [(job.name, job.output.relative_to(tmp_path / "out").as_posix(), job.kind) for job in jobs.jobs] == [
        ("a.jpg", "a.jpg", "picture"),
        ("b/anim.gif", "b/anim.gif.png", "picture"),
        ("b/c.PNG", "b/c.PNG", "picture"),
        ("b/film.avi", "b/film.avi.mp4", "video"),
        ("raw.CR2", "raw.CR2", "unread"),
    ]
    assert jobs.left_out == ["notes.txt"] and jobs.folder == tmp_path / "out"
    assert list_jobs(photos, tmp_path / "out", "png").jobs[0].output.name == "a.jpg.png"


def test_a_file_becomes_a_file_or_goes_into_a_folder(photos, tmp_path):
    one = list_jobs(photos / "a.jpg", tmp_path / "new.png", "same")
    assert one.jobs[0].output == tmp_path / "new.png" and one.folder == tmp_path
    assert list_jobs(photos / "a.jpg", tmp_path / "new", "same").jobs[0].output == tmp_path / "new" / "a.jpg"
    assert list_jobs(photos / "a.jpg", photos / "b", "same").jobs[0].output == photos / "b" / "a.jpg"


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("photos", "photos", "the same folder"),
        ("photos", "photos/b/out", "lies in the other"),
        ("photos/b", "photos", "lies in the other"),
        ("photos", "link", "the same folder"),
        ("photos/a.jpg", "photos/a.jpg", "would overwrite an input"),
        ("photos/a.jpg", "photos", "would overwrite an input"),
        ("photos", "mirror", "would overwrite an input"),
        ("photos/none.jpg", "out", "does not exist"),
        ("photos/notes.txt", "out", "holds no photograph and no video"),
        ("photos/a.jpg", "out.heic", "not written as '.heic'"),
        ("photos/b/film.avi", "out.webm", "not written as '.webm'"),
    ],
)
def test_refused_before_anything_is_read(photos, tmp_path, source, out, message):
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "b").symlink_to(photos / "b")
    with pytest.raises(ConfigError, match=message):
        list_jobs(tmp_path / source, tmp_path / out, "same")


def test_two_inputs_never_become_one_output(photos, tmp_path):
    (photos / "b" / "anim.gif.png").touch()
    with pytest.raises(ConfigError, match=r"b/anim\.gif and b/anim\.gif\.png would both become"):
        list_jobs(photos, tmp_path / "out", "same")
