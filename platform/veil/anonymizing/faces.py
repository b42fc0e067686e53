"""One image with its faces anonymized, and what was done to each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from veil.anonymizing.blending import Box, black_out, blackout_box, blend, crop_box
from veil.anonymizing.cropping import Cropper
from veil.errors import VeilError
from veil.faces.align import align_face, estimate_similarity
from veil.faces.detection import Detection

if TYPE_CHECKING:
    from veil.tracking.registered import RegisteredPoint

Treatment = Literal["anonymized", "blacked out"]

UNCHANGED_LEVELS = 1.0
"""A crop that changed by less, in 8-bit levels on average, counts as returned unchanged."""


class PlacedFace(NamedTuple):
    """A face and where it lies.

    Attributes:
        box: float (4,), x, y, width, height in pixels of the image.
        matrix: float (2, 3), alignment to the crop; None if there is none.
        landmarks5: float (5, 2), as the detector found them; None where it did not look.
        seed: decides whom the anonymized face shows; None leaves that to the image.
        problem: why it cannot be anonymized, None if it can as far as is known.
    """

    box: np.ndarray
    matrix: np.ndarray | None
    landmarks5: np.ndarray | None = None
    seed: int | None = None
    problem: str | None = None


class TreatedFace(NamedTuple):
    """What was done to a face.

    Attributes:
        box: what was changed of the image.
        treatment: "blacked out" is what could not be anonymized.
        reason: why it was blacked out; empty if it was not.
    """

    box: Box
    treatment: Treatment
    reason: str = ""


@dataclass(frozen=True)
class FaceAnonymizer:
    """Anonymizes the faces of images.

    Attributes:
        point: the registered model.
        cropper: makes crops as the model expects them.
    """

    point: "RegisteredPoint"
    cropper: Cropper

    def place(self, face: Detection) -> PlacedFace:
        """Align a face, or say why it cannot be."""
        smallest = self.cropper.contract.framing.smallest_face
        matrix = estimate_similarity(face.landmarks5)
        problem = None
        if matrix is None:
            problem = "the five landmarks determine no alignment"
        elif min(face.box[2:]) < smallest:
            problem = f"smaller than {smallest} px"
        return PlacedFace(face.box, matrix, face.landmarks5, problem=problem)

    def anonymize(self, image: np.ndarray) -> tuple[np.ndarray, list[TreatedFace]]:
        """Anonymize all faces of an image, look at the result again, and black out what is found beside them.

        Args:
            image: uint8 (H, W, 3), BGR.
        """
        anonymized, treated = self.render(image, [self.place(face) for face in self.cropper.find(image)])
        return anonymized, [*treated, *self.second_look(anonymized, treated)]

    def second_look(self, image: np.ndarray, treated: Sequence[TreatedFace]) -> list[TreatedFace]:
        """Black out, in place, the faces of an anonymized image whose middle lies in nothing that was treated."""
        middles = [(face, face.box[:2] + face.box[2:] / 2) for face in self.cropper.find(image)]
        survived = [face for face, middle in middles if not any(one.box.holds(*middle) for one in treated)]
        return [self._blacken(image, self.place(face), "seen only in the result") for face in survived]

    def render(self, image: np.ndarray, faces: Sequence[PlacedFace]) -> tuple[np.ndarray, list[TreatedFace]]:
        """Anonymize some faces of an image; black out those that cannot be.

        Args:
            image: uint8 (H, W, 3), BGR; left as it is.
            faces: of the image.

        Returns:
            The new image and what was done to each face, in their order.
        """
        problems = {index: face.problem for index, face in enumerate(faces) if face.problem is not None}
        aligned = {
            index: (face.matrix, align_face(image, face.matrix))
            for index, face in enumerate(faces)
            if index not in problems and face.matrix is not None
        }
        problems |= self._missing_signals(faces, aligned)
        crops: dict[int, np.ndarray] = {}
        for index, (_, crop) in aligned.items():
            if index not in problems:
                result = self._anonymize_crop(crop, faces[index].seed)
                if isinstance(result, str):
                    problems[index] = result
                else:
                    crops[index] = result
        anonymized = blend(image, list(crops.values()), [aligned[index][0] for index in crops])
        size = (image.shape[0], image.shape[1])
        treated = [
            self._blacken(anonymized, face, problems[index])
            if index in problems
            else TreatedFace(crop_box(aligned[index][0], size), "anonymized")
            for index, face in enumerate(faces)
        ]
        return anonymized, treated

    def _missing_signals(
        self, faces: Sequence[PlacedFace], aligned: dict[int, tuple[np.ndarray, np.ndarray]]
    ) -> dict[int, str]:
        if not aligned:
            return {}
        reasons = self.cropper.missing_signals(
            np.stack([crop for _, crop in aligned.values()]),
            [faces[index].landmarks5 for index in aligned],
            [matrix for matrix, _ in aligned.values()],
        )
        return {index: reason for index, reason in zip(aligned, reasons, strict=True) if reason is not None}

    def _anonymize_crop(self, crop: np.ndarray, seed: int | None) -> np.ndarray | str:
        """The anonymized crop, or why there is none."""
        try:
            (result,) = self.point.predict(crop.transpose(1, 2, 0)[None], seed)
        except VeilError as error:
            return str(error)
        anonymized = result.transpose(2, 0, 1)
        if np.abs(anonymized.astype(np.float32) - crop).mean() < UNCHANGED_LEVELS:
            return "the model returned the face unchanged"
        return anonymized

    def _blacken(self, image: np.ndarray, face: PlacedFace, reason: str) -> TreatedFace:
        box = blackout_box(face.box, face.matrix, (image.shape[0], image.shape[1]))
        black_out(image, box)
        return TreatedFace(box, "blacked out", reason)
