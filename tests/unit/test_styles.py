"""Published anonymizers as configurations of the GAN anonymizer, trained for a step with stand-ins as judges."""

from dataclasses import replace

import pytest
import torch
from face_rows import make_row
from real_faces import astronaut_faces
from stand_ins import small_roles

from trainables.borrowed import BorrowedAnonymizer
from trainables.gan.data import TrainingFaces, draw_samples, make_batch
from trainables.gan_anonymizer import GanAnonymizer, GanConfig
from veil.errors import ConfigError
from veil.faces.contract import CropContract
from veil.faces.table import FaceTable, tensor_to_images
from veil.interfaces import TrialContext
from veil.registry import conditionings, trainables
from veil.runtime import LocalLauncher

STYLES = ("deepprivacy_style", "ciagan_style", "ganonymization_style")
SHORT = {
    "images": 4, "warm_start_images": 4, "batch_size": 4, "generator_width": 8, "discriminator_width": 8,
    "r1_every_steps": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(4)


@pytest.fixture(scope="module")
def context(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    rows = [
        make_row(number, identity=f"person {number % 2}", crop=crop, landmarks68=landmarks)
        for number, (crop, landmarks) in enumerate(
            zip(tensor_to_images(faces.images), faces.landmarks.numpy(), strict=True)
        )
    ]
    table = FaceTable.from_rows(rows, CropContract("none", "0" * 64, {}, "none", "0" * 64))
    return TrialContext(folder / "trial", folder / "cache", table, small_roles, LocalLauncher(), seed=0)


@pytest.mark.parametrize("name", STYLES)
def test_trains_loads_and_lends_itself(name, context, faces):
    style = trainables.get(name)()
    config = style.Config.parse(SHORT, where="trial")
    context = replace(context, folder=context.folder / name)
    outcome = BorrowedAnonymizer(trainable=name, settings=SHORT).make(context)
    images = outcome.anonymizer(faces)
    assert torch.equal(images, style.load(config, context.folder)(faces))
    assert images.shape == (4, 3, 112, 112) and images.isfinite().all()
    assert len(outcome.trainings) == 2


def test_each_is_a_family_of_its_own_and_ours_with_other_defaults():
    families = {trainables.get(name).family for name in (*STYLES, "gan_anonymizer")}
    assert len(families) == 4
    for name in STYLES:
        style = trainables.get(name)
        assert issubclass(style, GanAnonymizer) and issubclass(style.Config, GanConfig)
        assert set(style.Config.model_fields) == set(GanConfig.model_fields)
        assert style().label(style.Config()).startswith(style.family)


@pytest.mark.parametrize("name", STYLES)
def test_a_style_keeps_its_weights_where_only_one_is_set_and_has_no_term_of_ours(name):
    config = trainables.get(name).Config
    assert config.parse({"weights": {"adv": 0.5}}, where="trial").weights == config().weights.model_copy(
        update={"adv": 0.5}
    )
    for term in ("id", "expr"):
        with pytest.raises(ConfigError, match=f"weights.{term}"):
            config.parse({"weights": {term: 1.0}}, where="trial")


def test_only_the_region_that_is_reconstructed_tells_warm_starts_apart(context):
    warm = []
    for region in ("image", "context"):
        config = GanConfig.parse({**SHORT, "rec_region": region, "weights": {"id": 0, "expr": 0}}, where="trial")
        outcome = GanAnonymizer().run(config, replace(context, folder=context.folder / region))
        warm.append(next(iter(outcome.trainings)))
    assert len(set(warm)) == 2


def test_the_context_is_what_the_masked_conditioning_shows(faces):
    training = TrainingFaces(tensor_to_images(faces.images), faces.landmarks.numpy(), key="astronaut")
    batch = make_batch(training, conditionings.get("masked")(), draw_samples(0, 0, 4, 4), with_context=True)
    assert torch.equal(batch.originals * batch.context, batch.condition[:, :3])
    assert 0.05 < batch.context.mean() < 0.6


def test_a_context_without_landmarks_is_refused():
    with pytest.raises(ConfigError, match="rec_region 'context' needs landmarks.*'pixels'"):
        GanConfig.parse({"conditioning": "pixels", "rec_region": "context"}, where="trial")
