"""Training under Ray Train: two workers are one worker with the same global batch, and divergence is told as such."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import ray
import torch
from faults import die_once
from ray.util import placement_group_table
from real_faces import astronaut_faces
from safetensors.torch import load_file
from stand_ins import small_roles

from trainables.conditioning import build_conditioning
from trainables.gan.data import TrainingFaces
from trainables.gan.loop import TrainingPlan, train
from trainables.gan.objective import LossWeights
from trainables.gan.steps import NetSettings, StepSettings
from veil.errors import DivergedError
from veil.faces.table import tensor_to_images
from veil.runtime import LocalLauncher, latest_checkpoint
from veil.sweep.train import RayTrainLauncher

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(240)]

NETS = NetSettings(
    channels=1,
    generator_width=8,
    discriminator_width=8,
    generator_rate=2e-4,
    discriminator_rate=2e-4,
    ema_half_life_images=50,
    seed=0,
)
PLAN = TrainingPlan(
    nets=NETS,
    step=StepSettings(weights=LossWeights(adv=1, rec=10, id=1, expr=1), r1_gamma=0.1, r1_every_steps=2),
    images=24,
    batch_size=4,
    report_every_images=8,
    checkpoint_every_images=12,
    seed=0,
)


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    helpers = Path(__file__).parents[1] / "helpers"  # The workers load the stand-in nets by name.
    ray.init(
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 1024**2,
        runtime_env={"env_vars": {"PYTHONPATH": str(helpers)}},
    )
    yield
    ray.shutdown()


def job(plan: TrainingPlan, folder: Path) -> partial[None]:
    batch = astronaut_faces(5)
    faces = TrainingFaces(tensor_to_images(batch.images), batch.landmarks.numpy(), key="astronaut")
    return partial(
        train,
        plan=plan,
        faces=faces,
        conditioning=build_conditioning("landmarks"),
        load_roles=small_roles,
        folder=folder / "training",
        cache=folder / "cache",
    )


def launcher(tmp_path: Path, name: str) -> RayTrainLauncher:
    return RayTrainLauncher(workers=2, storage=tmp_path / "ray", name=name, inside_tune=False)


def test_two_workers_equal_one_at_the_same_global_batch(local_ray: None, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        LocalLauncher()(job(PLAN, tmp_path / "one"))
    finally:
        torch.set_num_threads(threads)
    launcher(tmp_path, "equal")(job(PLAN, tmp_path / "two"))
    for net in ("generator", "ema", "discriminator"):
        one, two = (load_file(tmp_path / part / "training" / f"{net}.safetensors") for part in ("one", "two"))
        for key, weights in one.items():
            # Adam divides by a gradient's own size, so that rounding in a sum over workers grows to part of a step.
            assert (weights - two[key]).abs().max() < 2e-4, (net, key)


def test_divergence_of_the_workers_is_told_as_such(local_ray: None, tmp_path: Path) -> None:
    diverging = replace(PLAN, nets=replace(NETS, generator_rate=float("inf")))
    with pytest.raises(DivergedError, match="diverged after"):
        launcher(tmp_path, "diverges")(job(diverging, tmp_path))


@pytest.mark.long
def test_training_goes_on_from_its_checkpoint_after_a_worker_is_killed(local_ray: None, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    launch = RayTrainLauncher(
        workers=2,
        storage=tmp_path / "ray",
        name="killed",
        max_failures=1,
        inside_tune=False,
        report=partial(die_once, killed, 16),  # the checkpoint is of 12 images
    )
    launch(job(PLAN, tmp_path / "killed-once"))
    assert killed.exists()
    launcher(tmp_path, "never-killed")(job(PLAN, tmp_path / "whole"))
    for net in ("generator", "ema", "discriminator"):
        whole, again = (
            load_file(tmp_path / part / "training" / f"{net}.safetensors") for part in ("whole", "killed-once")
        )
        assert all(torch.equal(weights, again[key]) for key, weights in whole.items()), net


@pytest.mark.long
def test_workers_are_freed_at_a_pause_and_segments_equal_one_training(local_ray: None, tmp_path: Path) -> None:
    launch = launcher(tmp_path, "segments")
    launch(partial(job(PLAN, tmp_path / "parts"), pause_at=10))
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 3.0 or _groups_held():
        assert time.monotonic() < deadline, "training workers outlive their segment"
        time.sleep(0.5)
    assert latest_checkpoint(tmp_path / "parts" / "training") is not None
    launch(job(PLAN, tmp_path / "parts"))
    launcher(tmp_path, "whole")(job(PLAN, tmp_path / "whole"))
    for net in ("generator", "ema", "discriminator"):
        whole, parts = (load_file(tmp_path / part / "training" / f"{net}.safetensors") for part in ("whole", "parts"))
        assert all(torch.equal(weights, parts[key]) for key, weights in whole.items()), net


def _groups_held() -> list[str]:
    return [name for name, group in placement_group_table().items() if group["state"] != "REMOVED"]
