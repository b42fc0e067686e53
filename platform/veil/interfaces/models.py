"""What works on images: anonymizers, conditionings, recognizers, expression nets.

Shapes: B images, N images of a set, 3 channels RGB, H = W = 112, D embedding size, K expression classes, P pairs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


CROP_SIZE = 112
EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Order of the K = 7 classes in every posterior."""


FACE_PARTS = (
    "background", "skin", "right_brow", "left_brow", "right_eye", "left_eye", "nose", "upper_lip", "mouth", "lower_lip",
    "hair", "ears", "neck", "clothes", "accessories",
)  # fmt: skip
"""Classes of a parsing map, in the order of their numbers; right and left are the person's own, as in iBUG-68."""

NO_PART = 255
"""Value of a parsing map where a face has none."""


class FaceBatch(NamedTuple):
    """Aligned faces with what was measured on the clear image.

    Attributes:
        images: float (B, 3, 112, 112), RGB in [-1, 1].
        landmarks: float (B, 68, 2), iBUG-68 (x, y) in crop pixels.
        parsing: uint8 (B, 112, 112), numbers of FACE_PARTS, NO_PART throughout a face whose map is missing; None if
            nobody asked for it.
        pose: float (B, 3), yaw, pitch and roll of the head in degrees, NaN for a face whose pose is missing; None if
            nobody asked for it.
    """

    images: "Tensor"
    landmarks: "Tensor"
    parsing: "Tensor | None" = None
    pose: "Tensor | None" = None

    def to(self, device: "torch.device | str") -> "FaceBatch":
        """The same batch on another device."""
        return FaceBatch(
            self.images.to(device),
            self.landmarks.to(device),
            None if self.parsing is None else self.parsing.to(device),
            None if self.pose is None else self.pose.to(device),
        )


class SubjectPool(NamedTuple):
    """Whose images an anonymizer mixes into its output, as the k-Same family does.

    Attributes:
        identities: person of each image in the pool.
        k: images mixed into one output.
        parts: sub-pool of each image, where all images of one output come from one sub-pool; empty for a pool that is
            not divided.
    """

    identities: Sequence[str]
    k: int
    parts: Sequence[str] = ()


@runtime_checkable
class Anonymizer(Protocol):
    """Turns faces into anonymized faces, deterministically.

    One that mixes images of other people declares them as an attribute `pool`, a SubjectPool: the protocol refuses a
    pool that gives no k-anonymity. One that draws on signals beside the image declares them as an attribute `needs`, as
    a conditioning does: the protocol refuses faces that lack one. One that looks at the clear image through a frozen
    net declares it as an attribute `models`, SHA-256 of the weights by name, as a conditioning does: the protocol
    refuses to let a net judge what it has itself steered. One that draws whom each image shows has a method
    `as_one_person(seed)`, which returns an anonymizer that shows one person in all images. One of which a reader of its
    score must know something says so in an attribute `notes`, a sequence of sentences.
    """

    def __call__(self, faces: FaceBatch) -> "Tensor":
        """Return float (B, 3, 112, 112), RGB in [-1, 1]."""
        ...


@runtime_checkable
class Conditioning(Protocol):
    """What the generator is allowed to see.

    Attributes:
        channels: number of channels C of the signal.
        needs: signals of a face that it draws on, of "landmarks68", "parsing" and "pose"; a face that lacks one of
            them cannot be anonymized.

    One that looks at the clear image through a frozen net declares it as an attribute `models`, SHA-256 of the weights
    by name. One that paints a face, in grey, which may be published as it is, names its channel as an attribute
    `canvas`: a generator may start from it.
    """

    channels: int
    needs: frozenset[str]

    def __call__(self, faces: FaceBatch) -> "Tensor":
        """Return float (B, C, 112, 112) in [-1, 1].

        Raises:
            DataError: a face lacks a signal that is needed.
        """
        ...


@runtime_checkable
class Recognizer(Protocol):
    """An identity embedder: a torch module, differentiable in its input, frozen, in eval mode.

    Attributes:
        embedding_size: D.
    """

    embedding_size: int

    def __call__(self, images: "Tensor") -> "Tensor":
        """Map (B, 3, 112, 112) in [-1, 1] to L2-normalised embeddings (B, D)."""
        ...


@runtime_checkable
class ExpressionNet(Protocol):
    """A facial-expression classifier: a torch module, differentiable in its input, frozen, in eval mode.

    A net whose features a loss shall compare has a method `features_and_logits`, which maps the same images to a pair
    of float (B, F), what its last layer classifies, and the logits.
    """

    def __call__(self, images: "Tensor") -> "Tensor":
        """Map (B, 3, 112, 112) in [-1, 1] to logits (B, 7) in the order of EXPRESSIONS."""
        ...
