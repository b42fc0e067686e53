"""A6 reversal: a net that undoes the anonymization, and a recognizer that looks at what comes out."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from trainables.attackers.holdings import held_images
from trainables.attackers.inversion import FacePairs, InversionPlan, Inverter, measure_fit, train_inverter
from veil.config import Settings
from veil.errors import DivergedError
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import AttackFailedError, AttackSet, AttackSetting, Comparisons
from veil.metrics.realism import ssim
from veil.protocol.fusion import compare_fused
from veil.protocol.pairs import compare
from veil.protocol.rendering import net_outputs
from veil.registry import attackers
from veil.runtime import LocalLauncher, load_weights


class ReversalConfig(Settings):
    """Strength of the attacker."""

    images_per_identity: int | None = Field(
        None, ge=1, description="pairs of each of the attacker's own people; None takes all"
    )
    images: int = Field(1200, ge=1, description="length of the training, in images seen")
    batch_size: int = Field(8, ge=1)
    width: int = Field(16, ge=4, description="channels of the first level of the U-Net")
    learning_rate: float = Field(1e-3, gt=0)
    identity_weight: float = Field(0.1, ge=0, description="weight of the identity term beside the L1 term")
    identity_share: float = Field(0.5, ge=0, le=1, description="last part of the training that has the identity term")
    fused_images: int = Field(3, ge=2, description="images of a person in a fused template")


@attackers.register("reversal")
class Reversal:
    """An attacker who trains an inverter on its own people's pairs and looks up what it makes of the targets.

    The reconstructions are matched against clear galleries one by one ("reversal/naive") and as templates of several
    images of a person ("reversal/fused").
    """

    rung: ClassVar[str] = "A6"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = ReversalConfig

    def __init__(self, config: ReversalConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Train, reconstruct, then compare.

        Raises:
            AttackFailedError: images, a recognizer or people are lacking, a loss was not finite, or the inverter did
                not learn its training pairs.
            ConfigError: the batch does not divide among the workers.
        """
        recognizer, target = setting.recognizer, setting.target
        if recognizer is None or len(target.clear_images) == 0 or len(setting.owned.clear_images) == 0:
            raise AttackFailedError("the reversal attacker needs a recognizer and the images of all people")
        owned = held_images(setting, self.config.images_per_identity)
        pairs = FacePairs(owned.anonymized_images, owned.clear_images, owned.clear)
        inverter = self._train(setting, pairs, recognizer)
        fit = measure_fit(inverter, pairs, self.config.batch_size, setting.device)
        if not setting.rehearsal and not fit.inverter <= fit.worst_allowed:
            raise AttackFailedError(
                f"the inverter's mean error on its own training pairs is {fit.inverter:.3f}, expected at most "
                f"{fit.worst_allowed:.3f} (a linear map {fit.linear:.3f}, a constant image {fit.constant:.3f}); "
                "raise `images` or change `learning_rate`"
            )
        # Equal images are reconstructed and embedded once, so that an anonymizer without content gives ties.
        outputs = net_outputs(inverter, target.anonymized_images, self.config.batch_size, setting.device)
        reconstructions = tensor_to_images(torch.from_numpy(outputs))
        embeddings = net_outputs(recognizer, reconstructions, self.config.batch_size, setting.device)
        diagnostics = {
            "training_l1": fit.inverter,
            "training_l1_linear": fit.linear,
            "training_l1_constant": fit.constant,
            "ssim_gain": _ssim_gain(target, reconstructions),
        }
        naive = compare("reversal/naive", target, target.clear, embeddings, "probe", diagnostics)
        fused = compare_fused(
            "reversal/fused", target, target.clear, embeddings, "probe", self.config.fused_images, setting.seed
        )
        return [replace(naive, reconstructions=reconstructions), fused]

    def _train(self, setting: AttackSetting, pairs: FacePairs, recognizer: nn.Module) -> Inverter:
        config = self.config
        plan = InversionPlan(
            images=config.images,
            batch_size=config.batch_size,
            width=config.width,
            learning_rate=config.learning_rate,
            identity_weight=config.identity_weight,
            identity_share=config.identity_share,
            seed=setting.seed,
        )
        if setting.rehearsal:
            plan = replace(plan, images=2 * config.batch_size, identity_share=1.0)
        launcher = setting.launcher or LocalLauncher(device=setting.device)
        # Workers may run elsewhere: what they learned comes back as a file.
        with tempfile.TemporaryDirectory(dir=setting.folder, prefix="reversal-") as folder:
            weights = Path(folder) / "inverter.safetensors"
            try:
                launcher(partial(train_inverter, plan=plan, pairs=pairs, recognizer=recognizer, weights=weights))
            except DivergedError as error:
                raise AttackFailedError(str(error)) from error
            inverter = Inverter.build(pairs.clear, plan.width, plan.seed)
            load_weights(weights, inverter)
        return inverter.to(setting.device).eval().requires_grad_(False)


def _ssim_gain(target: AttackSet, reconstructions: NDArray[np.uint8]) -> float:
    """How much nearer to the clear target faces the reconstructions are than the anonymized images, in SSIM."""
    clear, published, rebuilt = (
        images_to_tensor(images) for images in (target.clear_images, target.anonymized_images, reconstructions)
    )
    return float((ssim(rebuilt, clear) - ssim(published, clear)).mean())
