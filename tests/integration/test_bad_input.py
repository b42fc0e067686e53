"""What a user does wrong: one clear message that names the setting, a failing exit status, nothing started."""

import shutil
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from study_helpers import run_veil
from typer.testing import CliRunner

from veil.cli import app
from veil.errors import AssetError, ConfigError, DataError, VeilError


def refused(*arguments: str) -> VeilError:
    """The error that the command line prints for these arguments."""
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, VeilError), (result.exception, result.output)
    return result.exception


def write_people(folder: Path, images_by_person: dict[str, int]) -> Path:
    generator = np.random.default_rng(0)
    for person, count in images_by_person.items():
        (folder / person).mkdir(parents=True)
        for index in range(count):
            image = generator.integers(0, 255, (60, 50), dtype=np.uint8)
            assert cv2.imwrite(str(folder / person / f"{index}.png"), image)
    return folder


def test_message_and_exit_status_of_the_process() -> None:
    result = run_veil("sweep", "--set", "search.trails=3")
    assert result.returncode == 2
    assert "unknown setting 'search.trails'; did you mean 'trials'?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("serch.trials=3", "did you mean 'search'"),
        ("search.trials=0", "search.trials.*greater than or equal to 1.*found 0"),
        ("search.space=smokes", "unknown search space 'smokes'; did you mean 'smoke'"),
        ("search.base.gan_anonymizer.weights.id=-1", "weights.id.*greater than or equal to 0.*found -1"),
        ("search.base.gan_anonymiser.images=10", "never runs"),
        ("search.objectives=[leek]", "unknown objective 'leek'; did you mean 'leak'"),
        ("study=a/b", "study.*should match pattern"),
        ("data", "expected a.b=value"),
    ],
)
def test_wrong_settings(setting: str, expected: str, tmp_path: Path) -> None:
    error = refused("sweep", "--set", f"root={tmp_path}", "--set", setting)
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match=expected):
        raise error
    assert not list(tmp_path.iterdir()), "nothing may be started"


def test_missing_config_file_and_unknown_preset() -> None:
    assert "nowhere.yaml" in str(refused("sweep", "--config", "nowhere.yaml"))
    assert "did you mean 'smoke'" in str(refused("sweep", "--preset", "smoky"))


def test_one_model_in_two_roles(tmp_path: Path) -> None:
    error = refused("sweep", "--set", f"root={tmp_path}", "--set", "roles.proxies=[sface]")
    assert "sface" in str(error) and "role" in str(error)


@pytest.mark.parametrize("dataset", ["orl", "folder"])
def test_empty_dataset_folder(dataset: str, tmp_path: Path) -> None:
    error = refused("prepare", "--set", f"data.dataset={dataset}", "--set", f"data.root={tmp_path}")
    assert isinstance(error, DataError)
    assert str(tmp_path) in str(error)


def test_images_without_faces_and_files_that_are_none(tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", {f"person{index}": 2 for index in range(8)})
    (people / "person3" / "notes.png").write_text("not an image")
    splits = "data.splits={train: 2, attacker: 2, search: 2, sealed: 2}"
    error = refused("prepare", "--set", "data.dataset=folder", "--set", f"data.root={people}", "--set", splits)
    assert isinstance(error, DataError)
    assert "no face found in any of the 16 images" in str(error) and "1 file: not an image" in str(error)


def test_person_with_a_single_image_cannot_be_judged(tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", {"ann": 2, "bob": 1})
    error = refused("prepare", "--set", "data.dataset=folder", "--set", f"data.root={people}")
    assert isinstance(error, DataError) and "2 people, 1 of them with a single image" in str(error)


def test_too_few_people_for_the_splits(tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", {f"person{index}": 2 for index in range(5)})
    error = refused("prepare", "--set", "data.dataset=folder", "--set", f"data.root={people}")
    assert isinstance(error, (DataError, ConfigError)) and "5" in str(error) and "splits" in str(error)


def test_studies_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    error = refused(
        "sweep", "--preset", "smoke", "--set", f"root={tmp_path / 'file'}", "--set", "search.space=analytic"
    )
    assert "--set root=FOLDER" in str(error)


def test_weights_with_a_wrong_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "face_recognition_sface_2021dec.onnx").write_bytes(b"tampered")
    monkeypatch.setenv("VEIL_ASSETS_DIR", str(tmp_path / "assets"))
    monkeypatch.setenv("VEIL_CACHE", str(tmp_path / "cache"))
    from veil.assets import fetch

    with pytest.raises(AssetError, match="sha256"):
        fetch("sface")
    shutil.rmtree(tmp_path / "assets")


def test_unknown_study_names_the_nearest(tmp_path: Path) -> None:
    assert "no study 'smoke'" in str(refused("frontier", "smoke", "--root", str(tmp_path)))
    assert "no study 'smoke'" in str(refused("resume", "smoke", "--root", str(tmp_path)))


def test_port_in_use_and_no_database(tmp_path: Path) -> None:
    assert "no tracking database" in str(refused("ui", "--root", str(tmp_path)))
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        error = refused("ui", "--root", str(tmp_path), "--port", str(busy.getsockname()[1]))
    assert "choose another with --port" in str(error)
