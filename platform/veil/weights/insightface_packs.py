"""InsightFace's model packs, where the user has them; Veil neither ships nor downloads them."""

import os
from pathlib import Path

from veil.errors import AssetError

ROOT_VARIABLE = "VEIL_INSIGHTFACE_ROOT"


def pack_folder(pack: str) -> Path:
    """Folder of an unpacked pack: `models/<pack>/` below `~/.insightface`, or below what VEIL_INSIGHTFACE_ROOT names.

    Raises:
        AssetError: there is none, or it holds no ONNX file.
    """
    root = Path(os.environ.get(ROOT_VARIABLE) or "~/.insightface").expanduser()
    folder = root / "models" / pack
    if not any(folder.rglob("*.onnx")):
        raise AssetError(
            f"no InsightFace pack {pack!r} in {folder}; unpack {pack}.zip of InsightFace's releases there, "
            f"or point {ROOT_VARIABLE} to the folder that holds models/{pack}/"
        )
    return folder
