"""The training loop: exact resumption, workers that equal one, divergence, early stop; the loss nets are stand-ins."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from gloo_workers import run_workers
from real_faces import astronaut_faces
from safetensors.torch import load_file
from stand_ins import small_roles

from trainables.conditioning import build_conditioning
from trainables.gan import loop
from trainables.gan.codes import CodeSettings
from trainables.gan.data import TrainingFaces
from trainables.gan.loop import TrainingPlan, is_finished, load_generator, save_generator, train
from trainables.gan.objective import LossWeights
from trainables.gan.steps import NetSettings, StepSettings
from trainables.gan.unet import UNet
from veil.errors import ConfigError, DataError, DivergedError
from veil.faces.table import tensor_to_images
from veil.runtime import LocalLauncher, Runtime, latest_checkpoint

NETS = ("generator", "ema", "discriminator")


@pytest.fixture(scope="module")
def faces():
    batch = astronaut_faces(5)
    people = np.array([0, 1, 1, 2, 2])
    return TrainingFaces(tensor_to_images(batch.images), batch.landmarks.numpy(), key="astronaut", people=people)


FILM = CodeSettings("random", 4, {"id": (0.1, 10.0), "expr": (0.1, 10.0), "rec": (3.0, 60.0)})


def plan(images=24, **changes):
    weights = changes.pop("weights", LossWeights(adv=1, rec=10, id=1, expr=1))
    codes = changes.pop("codes", CodeSettings())
    return TrainingPlan(
        nets=NetSettings(
            channels=1, generator_width=8, discriminator_width=8, generator_rate=1e-3, discriminator_rate=1e-3,
            ema_half_life_images=50, seed=0, code_size=codes.total,
        ),
        step=StepSettings(weights=weights, r1_gamma=0.1, r1_every_steps=2, codes=codes),
        images=images,
        batch_size=4,
        report_every_images=8,
        checkpoint_every_images=changes.pop("checkpoint_every_images", 12),
        seed=0,
    )  # fmt: skip


def job(plan, faces, folder, **changes):
    arguments = {
        "plan": plan,
        "faces": faces,
        "conditioning": build_conditioning("landmarks"),
        "load_roles": small_roles,
        "folder": folder / "training",
        "cache": folder / "cache",
    }
    return partial(train, **(arguments | changes))


def trained(folder):
    return {name: load_file(folder / "training" / f"{name}.safetensors") for name in NETS}


def differences(a, b):
    """Absolute difference of every weight of two trainings."""
    a, b = trained(a), trained(b)
    return torch.cat([(a[net][key] - b[net][key]).abs().flatten() for net in NETS for key in a[net]])


def test_all_terms_are_reported_by_images_seen(faces, tmp_path):
    seen = []
    LocalLauncher(lambda metrics, images: seen.append((images, metrics)))(job(plan(20), faces, tmp_path))
    assert [images for images, _ in seen] == [8, 16, 20]
    terms = {"loss/d_adv", "loss/g_adv", "loss/r1", "loss/rec", "loss/id", "loss/expr"}
    assert terms | {"proxy/cosine", "train/images_per_second"} == set(seen[0][1])
    assert is_finished(tmp_path / "training")


def test_stopped_and_resumed_is_bitwise_uninterrupted(faces, tmp_path):
    LocalLauncher()(job(plan(24), faces, tmp_path / "whole"))
    # Stops at the report after 8 images, inside an epoch and between two R1 steps.
    LocalLauncher(should_stop=lambda: True)(job(plan(24), faces, tmp_path / "halves"))
    assert not is_finished(tmp_path / "halves" / "training")
    assert latest_checkpoint(tmp_path / "halves" / "training").name.endswith("8")
    LocalLauncher()(job(plan(24), faces, tmp_path / "halves"))
    assert differences(tmp_path / "whole", tmp_path / "halves").max() == 0
    assert latest_checkpoint(tmp_path / "halves" / "training") is None, "a finished training keeps no checkpoint"


@pytest.mark.parametrize("pauses", [(4,), (7, 20), (12, 12, 24)])
def test_paused_and_continued_is_bitwise_uninterrupted(faces, tmp_path, pauses):
    LocalLauncher()(job(plan(24), faces, tmp_path / "whole"))
    for pause in pauses:
        LocalLauncher()(job(plan(24), faces, tmp_path / "parts", pause_at=pause))
        LocalLauncher()(job(plan(24), faces, tmp_path / f"until-{pause}", pause_at=pause))
        assert differences(tmp_path / "parts", tmp_path / f"until-{pause}").max() == 0
        seen = -(-pause // 4) * 4
        assert is_finished(tmp_path / "parts" / "training") == (seen == 24)
        if seen < 24:
            assert int(latest_checkpoint(tmp_path / "parts" / "training").name.split("-")[-1]) == seen
    LocalLauncher()(job(plan(24), faces, tmp_path / "parts"))
    assert differences(tmp_path / "whole", tmp_path / "parts").max() == 0


def test_losses_until_a_pause_are_reported(faces, tmp_path):
    seen = []
    LocalLauncher(lambda metrics, images: seen.append(images))(job(plan(24), faces, tmp_path, pause_at=12))
    LocalLauncher(lambda metrics, images: seen.append(images))(job(plan(24), faces, tmp_path))
    assert seen == [8, 12, 16, 24]


def test_a_finished_training_is_not_run_again(faces, tmp_path):
    LocalLauncher()(job(plan(4), faces, tmp_path))
    before = (tmp_path / "training" / "ema.safetensors").stat().st_mtime_ns
    LocalLauncher()(job(plan(4), faces, tmp_path))
    assert (tmp_path / "training" / "ema.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("codes", [CodeSettings(), FILM])
def test_starts_from_the_nets_it_is_given(faces, tmp_path, codes):
    LocalLauncher()(job(plan(8), faces, tmp_path / "warm"))
    still = plan(4, codes=codes)
    still = replace(still, nets=replace(still.nets, generator_rate=0.0, discriminator_rate=0.0, seed=7))
    LocalLauncher()(job(still, faces, tmp_path / "next", start=tmp_path / "warm" / "training"))
    a, b = trained(tmp_path / "warm"), trained(tmp_path / "next")
    assert all(torch.equal(a[net][key], b[net][key]) for net in ("generator", "discriminator") for key in a[net])
    # What reads a code is as it was built, and does nothing yet.
    assert all(not b["generator"][key].any() for key in b["generator"] if key.startswith("film.layers.2"))


def test_judges_are_not_loaded_when_no_loss_needs_them(faces, tmp_path):
    def refuse(device):
        raise AssertionError("loaded for nothing")

    LocalLauncher()(job(plan(4, weights=LossWeights(id=0, expr=0)), faces, tmp_path, load_roles=refuse))
    assert is_finished(tmp_path / "training")


@pytest.mark.parametrize("term", ["adv", "rec", "id", "expr", "diversity", "target", "perceptual"])
def test_each_term_alone_trains_the_generator(faces, tmp_path, term, monkeypatch):
    monkeypatch.setattr(loop, "load_perceptual_distance", lambda device: lambda a, b: (a - b).abs().mean((1, 2, 3)))
    alone = LossWeights(**(dict.fromkeys(("adv", "rec", "id", "expr"), 0.0) | {term: 1.0}))
    codes = {"diversity": CodeSettings("random", 4), "target": CodeSettings("target", 3)}.get(term, CodeSettings())
    seen = []
    task = job(plan(8, weights=alone, codes=codes), faces, tmp_path)
    LocalLauncher(lambda metrics, images: seen.append(metrics))(task)
    logged = {name for name in seen[0] if name.startswith("loss/")}
    assert logged == ({"loss/d_adv", "loss/g_adv", "loss/r1"} if term == "adv" else {f"loss/{term}"})
    torch.manual_seed(0)
    untrained = UNet(1, 8).state_dict()
    after = trained(tmp_path)["generator"]
    assert any((after[key] - value).abs().max() > 1e-4 for key, value in untrained.items())
    if codes.total:
        assert after["film.layers.2.weight"].abs().max() > 1e-4, "or the code plays no part"


@pytest.mark.parametrize(
    ("strength", "term", "moves"),
    [
        ("transform", "id", True),
        ("teacher_transform", "expr", True),
        ("transform", "expr", False),
        ("teacher_transform", "id", False),
    ],
)
def test_each_frozen_net_sees_its_own_views(faces, tmp_path, strength, term, moves):
    weights = LossWeights(**(dict.fromkeys(("adv", "rec", "id", "expr"), 0.0) | {term: 1.0}))
    first = []
    for value in (0.0, 1.0):
        task = plan(4, weights=weights)
        task = replace(task, step=replace(task.step, **{f"{strength}_strength": value}))
        LocalLauncher(lambda metrics, images: first.append(metrics[f"loss/{term}"]))(
            job(task, faces, tmp_path / str(value))
        )
    assert (first[0] != first[1]) == moves, "both begin with the same generator"


def test_sampled_weights_take_the_place_of_fixed_ones(faces, tmp_path):
    # Ranges that are points within rounding: the training is the one with these weights.
    fixed = LossWeights(adv=1, rec=10, id=2, expr=3)
    points = CodeSettings(
        ranges={term: (w, w * (1 + 1e-6)) for term, w in {"id": 2.0, "expr": 3.0, "rec": 10.0}.items()}
    )
    plain = plan(4, weights=fixed, codes=CodeSettings(ranges=points.ranges))
    LocalLauncher()(job(plain, faces, tmp_path / "sampled"))
    for name, weights in (("fixed", fixed), ("other", replace(fixed, id=2.5))):
        still = replace(plain, step=replace(plain.step, weights=weights, codes=Told(ranges=points.ranges)))
        LocalLauncher()(job(still, faces, tmp_path / name))
    assert differences(tmp_path / "sampled", tmp_path / "fixed").mean() < 1e-6
    assert differences(tmp_path / "sampled", tmp_path / "other").mean() > 1e-6, "or the comparison proves nothing"


class Told(CodeSettings):
    """Tells the generator the λ that were drawn, and leaves the loss alone."""

    def weights(self, preferences):
        return {}


def test_divergence_says_when_and_which_term(faces, tmp_path):
    mad = replace(plan(40), nets=replace(plan().nets, generator_rate=1e30))
    with pytest.raises(DivergedError, match=r"diverged after \d+ images: .*loss/.* = nan.*learning_rate"):
        LocalLauncher()(job(mad, faces, tmp_path))
    assert not is_finished(tmp_path / "training")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"codes": FILM, "weights": LossWeights(diversity=1.0)}], ids=["plain", "diverse loss-conditional"]
)
def test_two_workers_equal_one_at_the_same_global_batch(faces, tmp_path, changes):
    # Adam moves a weight whose gradient is all rounding by its whole learning rate: a small one keeps them in bounds.
    slow = plan(24, **changes)
    slow = replace(slow, nets=replace(slow.nets, generator_rate=5e-5, discriminator_rate=5e-5))
    LocalLauncher()(job(slow, faces, tmp_path / "one"))
    LocalLauncher()(job(replace(slow, seed=1), faces, tmp_path / "other"))
    assert run_workers(2, job(slow, faces, tmp_path / "two")) == [0, 0]
    two, other = (differences(tmp_path / "one", tmp_path / name) for name in ("two", "other"))
    assert two.max() < 1e-5
    assert two.mean() < 1e-7
    assert other.mean() > 1e-5, "or the comparison proves nothing"


@pytest.mark.slow
def test_two_workers_pause_together_and_go_on_as_if_they_had_not(faces, tmp_path):
    assert run_workers(2, job(plan(16), faces, tmp_path / "whole")) == [0, 0]
    for pause in (6, None):
        assert run_workers(2, job(plan(16), faces, tmp_path / "parts", pause_at=pause)) == [0, 0]
    assert differences(tmp_path / "whole", tmp_path / "parts").max() == 0


@pytest.mark.slow
def test_one_worker_asked_to_stop_stops_both_at_the_same_image(faces, tmp_path):
    assert run_workers(2, job(plan(24), faces, tmp_path), should_stop_on=1) == [0, 0]
    assert json.loads((latest_checkpoint(tmp_path / "training") / "state.json").read_text())["images_seen"] == 8


def test_a_batch_that_does_not_divide_is_refused(faces, tmp_path):
    with pytest.raises(ConfigError, match="batch_size is 4, expected a multiple of the 3 workers"):
        job(plan(), faces, tmp_path)(Runtime(0, 3))


def test_generator_round_trip(tmp_path):
    net = UNet(4, 8).eval()
    description = {"conditioning": "masked", "channels": 4, "width": 8}
    save_generator(tmp_path / "generator", net, description)
    again, found = load_generator(tmp_path / "generator")
    condition = torch.randn(1, 4, 112, 112)
    assert torch.equal(again(condition), net(condition))
    assert found == description
    coded, code = UNet(4, 8, 3).eval(), torch.randn(1, 3)
    torch.nn.init.normal_(coded.film.layers[-1].weight)
    save_generator(tmp_path / "generator", coded, description | {"code_size": 3})
    assert torch.equal(load_generator(tmp_path / "generator")[0](condition, code), coded(condition, code))
    save_generator(tmp_path / "generator", net, description | {"canvas": 2})
    assert not torch.equal(load_generator(tmp_path / "generator")[0](condition), net(condition))
    assert load_generator(tmp_path / "generator")[0].canvas == 2
    with pytest.raises(DataError, match="holds no generator"):
        load_generator(tmp_path / "absent")
