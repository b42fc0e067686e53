"""The crop contract's hash."""

from typing import Any

from veil.faces.contract import CropContract
from veil.faces.framing import Framing


class Part:
    """A detector, landmark predictor or parser as far as the crop contract is concerned."""

    name = "part"
    asset_sha256 = "0" * 64
    settings: dict[str, Any] = {}


def test_contract_hash_covers_every_setting() -> None:
    blob = Part()
    contract = CropContract.of(blob, blob, blob)
    assert CropContract.of(blob, blob, blob).hash == contract.hash
    other = Part()
    other.settings = {"score_threshold": 0.5}
    assert CropContract.of(other, blob, blob).hash != contract.hash
    other = Part()
    other.asset_sha256 = "1" * 64
    changed = [CropContract.of(*tools) for tools in ((other, blob, blob), (blob, other, blob), (blob, blob, other))]
    longer = CropContract("part", "0" * 64, {}, "part", "0" * 64, framing=Framing(border=41))
    assert len({contract.hash, longer.hash, *(one.hash for one in changed)}) == 5
