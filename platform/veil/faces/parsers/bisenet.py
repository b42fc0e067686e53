"""Face parsing by a BiSeNet of the user's; Veil neither ships nor downloads one."""

import os
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from veil.assets import own_file
from veil.assets.store import USER_FOLDER
from veil.errors import AssetError
from veil.faces.parsing import CELEBAMASK_PARTS, take_own_sides
from veil.interfaces import CROP_SIZE, FACE_PARTS, NO_PART
from veil.registry import parsers
from veil.weights.files import file_sha256

FILENAME = "face_parsing.onnx"
_SIDE = 512
_NUMBERS = torch.tensor([FACE_PARTS.index(part) for part in CELEBAMASK_PARTS.values()], dtype=torch.uint8)

# Of ImageNet, for RGB in [0, 1].
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@parsers.register("bisenet")
class BiSeNet:
    """Yu et al., BiSeNet, ECCV 2018, trained on the 19 classes of CelebAMask-HQ; runs where the images are.

    Any ONNX export with the first output float (1, 19, H, W) for an input (1, 3, 512, 512), RGB normalised as for
    ImageNet: those of zllrunning/face-parsing.PyTorch, and of yakhyo/face-parsing (resnet18.onnx, resnet34.onnx).
    """

    name = "bisenet"
    failure = "the net found no skin, or there are no 68 landmarks to tell left from right"

    def __init__(self) -> None:
        # Imported here: whoever asks for another parser imports this file too, and should not wait for torchvision.
        from veil.weights.onnx_graph import load_onnx

        path = own_file(FILENAME)
        if path is None:
            folder = os.environ.get(USER_FOLDER)
            wanted = Path(folder).expanduser() / FILENAME if folder else f"folder set in {USER_FOLDER}"
            raise AssetError(
                f"face parser {self.name!r} needs a net of your own, and there is no {wanted}: export BiSeNet trained "
                "on CelebAMask-HQ to ONNX, name the "
                f"file {FILENAME}, put it into a folder and set {USER_FOLDER} to it; or use the parser 'polygons'"
            )
        self.asset_sha256 = file_sha256(path)
        self._path = path
        self._net = load_onnx(path).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor, landmarks68: Tensor) -> Tensor:
        """Return uint8 (B, 112, 112), see `veil.faces.parsing.Parser`."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        enlarged = F.interpolate(((images + 1) / 2 - mean) / deviation, (_SIDE, _SIDE), mode="bilinear")
        self._net.to(images.device)
        maps = torch.full((len(images), CROP_SIZE, CROP_SIZE), NO_PART, dtype=torch.uint8)
        for index, landmarks in enumerate(landmarks68.cpu()):
            if not landmarks.isfinite().all():
                continue
            # One at a time: exports often fix the size of the batch.
            parts = self._parse(enlarged[index : index + 1]).cpu()
            if (parts == FACE_PARTS.index("skin")).any():
                maps[index] = torch.from_numpy(take_own_sides(parts.numpy(), landmarks.numpy()))
        return maps.to(images.device)

    def _parse(self, image: Tensor) -> Tensor:
        outputs = self._net(image)
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        if logits.ndim != 4 or logits.shape[1] != len(_NUMBERS):
            raise AssetError(
                f"{self._path} returns {tuple(logits.shape)}, expected (1, {len(_NUMBERS)}, height, width), the "
                "classes of CelebAMask-HQ; replace the file"
            )
        smaller = F.interpolate(logits.float(), (CROP_SIZE, CROP_SIZE), mode="bilinear", antialias=True)
        return _NUMBERS.to(logits.device)[smaller[0].argmax(dim=0)]
