"""k-Same as a trial: the pool it makes of the train split, what it refuses, and that it is served from its folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from attack_sets import pattern_faces
from face_rows import make_row

from trainables.ksame import EXPRESSION_NET, KSameConfig, KSameTrainable
from veil.errors import ConfigError, DataError, ProtocolError
from veil.expression import expression_net_sha256
from veil.faces.contract import CropContract
from veil.faces.table import FaceTable
from veil.interfaces import TrialContext


def context(folder: Path, faces: FaceTable | None) -> TrialContext:
    return TrialContext(folder, folder, faces, load_roles=None, launcher=None, seed=0)


def run(folder, faces, **params):
    return KSameTrainable().run(KSameConfig.parse(params, where="trial"), context(folder, faces))


def labelled(shown: dict[str, str]) -> FaceTable:
    """One face of each person for each letter: h is happy, s is sad."""
    words = {"h": "happy", "s": "sad"}
    rows = [
        make_row(ord(person) * 10 + index, identity=person, expression_label=words[letter])
        for person, letters in shown.items()
        for index, letter in enumerate(letters)
    ]
    return FaceTable.from_rows(rows, CropContract("none", "0" * 64, {}, "none", "0" * 64))


@pytest.mark.parametrize("params", [{}, {"method": "furthest", "k": 2, "warp": False}, {"method": "average", "k": 3}])
def test_a_trial_s_folder_is_all_that_the_anonymizer_needs(params, tmp_path):
    faces = pattern_faces({"train": 6, "search": 3}, images=2)
    outcome = run(tmp_path, faces.split("train"), **params)
    assert outcome.training_faces == {"pool": 6} and outcome.trainings == {}
    assert outcome.anonymizer.pool.identities == tuple(f"train{person:02d}" for person in range(6))
    assert outcome.anonymizer.models == {}
    loaded = KSameTrainable().load(KSameConfig(**params), tmp_path)
    probes = faces.split("search").batch(range(6))
    assert torch.equal(loaded(probes), outcome.anonymizer(probes))
    assert not any(path.suffix in (".pkl", ".pt") for path in tmp_path.iterdir())


def test_select_divides_the_pool_by_labels_and_says_who_is_left_out(tmp_path):
    faces = labelled({"a": "hhs", "b": "hs", "c": "hss", "d": "h"})
    outcome = run(tmp_path, faces, method="select", k=3)
    # Four people are happy and three are sad: mixing 3 of 3 would give everybody one face.
    assert outcome.training_faces == {"pool_happy": 4, "left_out_sad": 4}
    assert outcome.anonymizer.pool.parts == ("happy",) * 4
    assert outcome.anonymizer.models == {EXPRESSION_NET: expression_net_sha256(EXPRESSION_NET)}
    assert run(tmp_path, faces, method="select", k=2).training_faces == {"pool_happy": 4, "pool_sad": 3}
    with pytest.raises(ConfigError, match=r"k is 4, .* \(happy 4, sad 3\); lower k, or put more people"):
        run(tmp_path, faces, method="select", k=4)


def test_select_reads_the_expressions_of_faces_without_labels(tmp_path):
    from veil.expression import load_expression_net
    from veil.interfaces import EXPRESSIONS

    faces = pattern_faces({"train": 6}, images=2)
    with torch.no_grad():
        read = load_expression_net(EXPRESSION_NET)(faces.images).argmax(dim=1)
    shown = {(person, EXPRESSIONS[index]) for person, index in zip(faces.identities, read, strict=True)}
    sizes = {f"pool_{name}": sum(own == name for _, own in shown) for name in EXPRESSIONS}
    outcome = run(tmp_path, faces, method="select", k=2)
    pools = {name: count for name, count in outcome.training_faces.items() if name.startswith("pool_")}
    assert pools == {name: count for name, count in sizes.items() if count > 2}
    loaded = KSameTrainable().load(KSameConfig(method="select", k=2), tmp_path)
    batch = faces.batch(range(12))
    assert torch.equal(loaded(batch), outcome.anonymizer(batch))


def test_a_pool_without_k_anonymity_is_refused_before_anything_is_kept(tmp_path):
    faces = pattern_faces({"train": 6}, images=2)
    with pytest.raises(ProtocolError, match=r"k is 6, expected at least 2 and fewer than the 6 people .*splits.train"):
        run(tmp_path, faces, k=6)
    with pytest.raises(ConfigError, match="greater than or equal to 2"):
        run(tmp_path, faces, k=1)
    with pytest.raises(DataError, match="needs faces of other people"):
        run(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.data
def test_a_registered_trial_is_served_from_its_folder(tmp_path):
    from orl_crops import require_assets

    from veil.faces.table import tensor_to_images
    from veil.serving import OperatingPoint, PointDescription

    require_assets("face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    faces = pattern_faces({"train": 6, "search": 3}, images=2)
    params = {"method": "select", "k": 2}
    (tmp_path / "trial").mkdir()
    outcome = run(tmp_path / "trial", faces.split("train"), **params)
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == sorted(KSameTrainable.model_files)
    described = PointDescription(trainable="ksame", params=params, parsing="polygons", parsing_sha256="")
    (tmp_path / "point.json").write_text(described.model_dump_json(), encoding="utf-8")
    crops = faces.split("search").crops[:]
    published = OperatingPoint(tmp_path, carried=False)(crops.transpose(0, 2, 3, 1))
    expected = tensor_to_images(outcome.anonymizer(faces.split("search").batch(range(6))))
    np.testing.assert_array_equal(published.transpose(0, 3, 1, 2), expected)


def test_labels_name_method_and_strength():
    label = KSameTrainable().label
    assert label(KSameConfig()) == "k-Same average k=5"
    assert label(KSameConfig(method="select", k=2, warp=True)) == "k-Same select k=2 warped"
