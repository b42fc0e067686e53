"""Training on an accelerator: bfloat16, channels-last and torch.compile give a finite, resumable training."""

from pathlib import Path

import pytest
import torch
from real_faces import astronaut_faces
from stand_ins import small_roles

from trainables.conditioning import build_conditioning
from trainables.gan.data import TrainingFaces
from trainables.gan.loop import TrainingPlan, is_finished, load_generator, save_generator, train
from trainables.gan.objective import LossWeights
from trainables.gan.steps import NetSettings, StepSettings
from trainables.gan.unet import UNet
from veil.faces.table import tensor_to_images
from veil.runtime import LocalLauncher, load_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("compiled", [False, True])
def test_trains_in_bfloat16_and_serves_on_the_cpu(compiled: bool, tmp_path: Path) -> None:
    batch = astronaut_faces(8)
    faces = TrainingFaces(tensor_to_images(batch.images), batch.landmarks.numpy(), key="astronaut")
    plan = TrainingPlan(
        nets=NetSettings(
            channels=1,
            generator_width=16,
            discriminator_width=16,
            generator_rate=5e-4,
            discriminator_rate=5e-4,
            ema_half_life_images=50,
            seed=0,
        ),
        step=StepSettings(weights=LossWeights(adv=1, rec=10, id=1, expr=1), r1_gamma=0.1, r1_every_steps=4),
        images=256,
        batch_size=8,
        report_every_images=64,
        checkpoint_every_images=128,
        seed=0,
    )
    seen: list[dict[str, float]] = []
    LocalLauncher(
        report=lambda metrics, images: seen.append(metrics),
        device="cuda",
        autocast_dtype=torch.bfloat16,
        compile=compiled,
    )(
        lambda runtime: train(
            runtime,
            plan=plan,
            faces=faces,
            conditioning=build_conditioning("landmarks"),
            load_roles=small_roles,
            folder=tmp_path / "training",
            cache=tmp_path / "cache",
        )
    )
    assert is_finished(tmp_path / "training")
    assert seen[-1]["loss/rec"] < seen[0]["loss/rec"]
    generator = UNet(1, 16)
    load_weights(tmp_path / "training" / "ema.safetensors", generator)
    save_generator(tmp_path / "generator", generator, {"channels": 1, "width": 16})
    served, _ = load_generator(tmp_path / "generator")
    with torch.inference_mode():
        assert served(build_conditioning("landmarks")(batch)).isfinite().all()
