"""Classical anonymizers as trials, so that every frontier shows what learning has to beat."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from trainables.anonymizers.average_face import AverageFace, Reading
from trainables.anonymizers.classical import Blackout, Blur, Pixelate
from veil.config import Settings
from veil.interfaces import CROP_SIZE, Anonymizer, TrialContext, TrialOutcome
from veil.registry import trainables

_STRENGTH = {"blur": "kernel", "pixelate": "block", "blackout": "area", "average_face": "reading"}
"""The one setting that each method has."""

_OPTIONAL = ("blackout", "average_face")
"""Methods whose setting has a default."""


class BaselineConfig(Settings):
    """One classical method and its strength; the strength of another method is an error, not ignored."""

    method: Literal["blur", "pixelate", "blackout", "average_face"]
    kernel: int | None = Field(None, ge=3, lt=CROP_SIZE, description="blur: Gaussian kernel in pixels, odd")
    block: int | None = Field(None, ge=2, le=CROP_SIZE, description="pixelate: side of a block in pixels")
    area: Literal["crop", "face", "eyes"] | None = Field(
        None, description="blackout: the whole crop (default), the face, or a bar over the eyes"
    )
    reading: Reading | None = Field(
        None, description="average_face: of the most probable expression (label, default), or mixed by the posterior"
    )

    @model_validator(mode="after")
    def _strength_fits_method(self) -> Self:
        for method, setting in _STRENGTH.items():
            if method != self.method and getattr(self, setting) is not None:
                raise ValueError(f"method {self.method!r} has no setting {setting!r} (that is {method}'s); remove it")
        own = _STRENGTH[self.method]
        if self.method not in _OPTIONAL and getattr(self, own) is None:
            raise ValueError(f"method {self.method!r} needs the setting {own!r}")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}, expected an odd number of pixels")
        return self


@trainables.register("baseline")
class Baseline:
    """A filter, or the average face of an expression; nothing is trained."""

    family = "classical"
    model_files = ()
    needs_faces = True
    Config = BaselineConfig

    def run(self, config: BaselineConfig, context: TrialContext) -> TrialOutcome:
        """Return the anonymizer."""
        return TrialOutcome(_build(config))

    def load(self, config: BaselineConfig, folder: Path) -> Anonymizer:
        """Return the anonymizer; its configuration is all there is."""
        return _build(config)

    def label(self, config: BaselineConfig) -> str:
        """For example "blur 31", "pixelate 8", "blackout" or "average face label"."""
        strength = getattr(config, _STRENGTH[config.method])
        name = config.method.replace("_", " ")
        return name if strength is None else f"{name} {strength}"


def _build(config: BaselineConfig) -> Anonymizer:
    if config.kernel is not None:
        return Blur(config.kernel)
    if config.block is not None:
        return Pixelate(config.block)
    if config.method == "average_face":
        return AverageFace(config.reading or "label")
    return Blackout(config.area or "crop")
