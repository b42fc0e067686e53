"""Anonymizes files one after the other: skips what is done, refuses what cannot be done, and writes the manifest."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from veil import __version__
from veil.anonymizing.clips import ClipAnonymizer
from veil.anonymizing.faces import FaceAnonymizer
from veil.anonymizing.jobs import Job, Jobs
from veil.anonymizing.manifest import Entry, Manifest, Recipe, digest
from veil.anonymizing.pictures import encode_picture, read_picture, written_format
from veil.atomic import replace_when_complete
from veil.errors import ConfigError, DataError
from veil.faces.images import UnreadableImageError

Progress = Callable[[int, int], None]


class RefusedError(DataError):
    """One file is not anonymized; the message is the reason alone. The others are not affected."""


@dataclass(frozen=True)
class Run:
    """Anonymizes files by one recipe.

    Attributes:
        faces: anonymizes faces.
        recipe: how.
        manifest: of the output folder.
        overwrite: whether files that are there already are made anew.
    """

    faces: FaceAnonymizer
    recipe: Recipe
    manifest: Manifest
    overwrite: bool

    def check(self, jobs: Jobs) -> None:
        """Refuse to mix the results of two recipes in one folder.

        Raises:
            ConfigError: an output was made by another recipe.
        """
        here = self.recipe.essence
        for job in () if self.overwrite else jobs.jobs:
            entry = self.manifest.entry(job.output)
            if entry is not None and (there := entry.recipe.essence) != here:
                changed = [
                    f"{name}: {there[name]} there, {here[name]} now" for name in here if there[name] != here[name]
                ]
                raise ConfigError(
                    f"{job.output} was made in another way ({'; '.join(changed)}); choose another folder, or add "
                    "--overwrite to make all files anew"
                )

    def anonymize(self, job: Job, progress: Progress) -> Entry | None:
        """Anonymize one file; its entry, which stands in the manifest already, or None if it was done before.

        Args:
            job: the file.
            progress: called with frames done and all frames, 0 if that is not known, of a video.

        Raises:
            DataError: the output cannot be written.
        """
        blank = Entry(
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            input=job.name,
            input_sha256=None,
            recipe=self.recipe,
        )
        try:
            blank = blank.model_copy(update={"input_sha256": self._digest_input(job)})
            if not self.overwrite and job.output.exists():
                if not self.manifest.is_ours(job.output):
                    raise RefusedError(f"{job.output} exists and is not what Veil wrote; --overwrite replaces it")
                before = self.manifest.entry(job.output)
                if before is not None and before.input_sha256 == blank.input_sha256:
                    return None
            return self._picture(job, blank) if job.kind == "picture" else self._video(job, blank, progress)
        except (RefusedError, UnreadableImageError) as error:
            entry = blank.model_copy(update={"refused": str(error)})
            self.manifest.add(entry)
            return entry

    def _digest_input(self, job: Job) -> str:
        if job.kind == "unread":
            raise RefusedError(f"{job.source.suffix} files are not read; convert it to JPEG or PNG first")
        try:
            return digest(job.source)
        except OSError as error:
            raise RefusedError(f"cannot be read: {error.strerror}") from error

    def _picture(self, job: Job, blank: Entry) -> Entry:
        picture = read_picture(_read(job.source))
        pixels, treated = self.faces.anonymize(picture.pixels)
        if not treated:
            pixels = np.zeros_like(picture.pixels)
        self._refuse_missing([one.reason for one in treated if one.reason] if treated else ["no face found"])
        content, notes = encode_picture(pixels, written_format(job.output), picture)
        entry = blank.model_copy(
            update={
                "anonymized": sum(one.treatment == "anonymized" for one in treated),
                "blacked_out": sum(one.treatment == "blacked out" for one in treated),
                "black": int(not treated),
                "faces": tuple(one._asdict() for one in treated),
                "notes": (*picture.notes, *notes),
            }
        )
        with replace_when_complete(job.output) as temporary:
            temporary.write_bytes(content)
            return self._note_written(job, temporary, entry)

    def _video(self, job: Job, blank: Entry, progress: Progress) -> Entry:
        clip = ClipAnonymizer(job.source, self.faces, f"{blank.input_sha256} {self.recipe.files_sha256}", progress)
        self._refuse_missing(["a frame without a face"] if clip.frames_without_face else [])
        with replace_when_complete(job.output) as temporary:
            done = clip.write(temporary, self.recipe.audio == "keep")
            self._refuse_missing(done.reasons)
            entry = blank.model_copy(
                update={
                    "anonymized": sum(track.anonymized for track in done.tracks),
                    "blacked_out": done.reasons.total(),
                    "black": done.black_frames,
                    "faces": tuple(track.values() for track in done.tracks),
                    "notes": done.notes,
                }
            )
            return self._note_written(job, temporary, entry)

    def _refuse_missing(self, reasons: Collection[str]) -> None:
        if self.recipe.on_missing == "fail" and reasons:
            raise RefusedError(f"{'; '.join(sorted(set(reasons)))}; --on-missing blackout writes it with that in black")

    def _note_written(self, job: Job, written: Path, entry: Entry) -> Entry:
        """Add the entry of a file that is about to take its place; if it never does, the entry counts for nothing."""
        name = job.output.relative_to(self.manifest.folder).as_posix()
        entry = entry.model_copy(update={"output": name, "output_sha256": digest(written)})
        self.manifest.add(entry)
        return entry


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror}") from error


def make_recipe(faces: FaceAnonymizer, on_missing: str, audio: str, wanted: str) -> Recipe:
    """Write down how files are anonymized."""
    point = faces.point
    return Recipe.parse(
        {
            "point": str(point.name),
            "version": point.version,
            "files_sha256": point.model_hash,
            "crop_contract": faces.cropper.contract.hash,
            "veil": __version__,
            "on_missing": on_missing,
            "audio": audio,
            "format": wanted,
        },
        where="recipe",
    )
