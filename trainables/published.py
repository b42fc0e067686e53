"""The outputs of another tool as a trial, so that the original of a method stands on the same frontier."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from trainables.anonymizers.published import PublishedFaces, read_published
from veil.config import Settings
from veil.interfaces import Anonymizer, TrialContext, TrialOutcome
from veil.registry import trainables

KEPT = "published.npz"
_NAMES = {"deepprivacy2": "DeepPrivacy2", "ciagan": "CIAGAN", "ganonymization": "GANonymization"}

# Trials run in folders of their own, where a relative path would lead elsewhere.
_Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().resolve())]


class PublishedConfig(Settings):
    """Whose outputs, and where they are."""

    method: str = Field(
        pattern=r"^\S(.{0,30}\S)?$", description="deepprivacy2, ciagan, ganonymization, or another name"
    )
    folder: _Folder = Field(description="the tool's outputs, under the paths of the exported images")
    export: _Folder = Field(description="folder that `veil export` wrote and the tool was given")


@trainables.register("published")
class Published:
    """Takes what a tool made of the study's exported faces; nothing is trained.

    The trial keeps the published faces, so that its score can be repeated without the tool's folder. They are no model
    of anything: the trial is scored, also on the sealed people, but never registered.
    """

    family = "published"
    needs_faces = True
    registrable = False
    Config = PublishedConfig

    def run(self, config: PublishedConfig, context: TrialContext) -> TrialOutcome:
        """Read the outputs.

        Raises:
            DataError: one is missing or cannot be used.
        """
        faces = read_published(config.folder, config.export)
        faces.save(context.folder / KEPT)
        return TrialOutcome(faces)

    def load(self, config: PublishedConfig, folder: Path) -> Anonymizer:
        """The outputs as the trial kept them.

        Raises:
            DataError: they are not there.
        """
        return PublishedFaces.load(folder / KEPT)

    def label(self, config: PublishedConfig) -> str:
        """For example "DeepPrivacy2 (published)"."""
        return f"{_NAMES.get(config.method, config.method)} (published)"
