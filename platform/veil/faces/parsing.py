"""What a face parser is, and how a parsing map follows the image it belongs to."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Parser(Protocol):
    """Says which part of the face each pixel of a crop shows.

    Attributes:
        name: registered name.
        asset_sha256: of its weights; empty if it has none.
        failure: why a face gets no map, for the reader of a table.
    """

    name: str
    asset_sha256: str
    failure: str

    def __call__(self, images: "Tensor", landmarks68: "Tensor") -> "Tensor":
        """Parse crops.

        Args:
            images: float (B, 3, 112, 112), RGB in [-1, 1].
            landmarks68: float (B, 68, 2), crop pixels; NaN where a face has none.

        Returns:
            uint8 (B, 112, 112) on the device of `images`, numbers of FACE_PARTS; NO_PART throughout a face that cannot
            be parsed.
        """
        ...
