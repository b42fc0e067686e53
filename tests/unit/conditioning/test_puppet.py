"""What the puppet copies of a face, and what it does not."""

import torch
from safetensors.torch import load_file
from torch import Tensor

from trainables.conditioning.geometry import mirror_landmarks
from trainables.conditioning.puppet import ACTIONS, WEIGHTS, features, puppet_landmarks
from veil.faces.ibug import BRIDGE, INNER_LIPS, JAW, NOSTRILS
from veil.interfaces import CROP_SIZE

POSE = torch.zeros(1, 3)


def action(landmarks: Tensor, name: str) -> float:
    return features(landmarks, POSE)[0, 4 + ACTIONS.index(name)].item()


def average_head() -> Tensor:
    """A head that the puppet makes, so that its proportions are plausible."""
    plausible = torch.tensor([[1, 0, 0, 0, 0.12, 0.12, 0.5, 0.5, 0.5, 0.1, 0.4, 0.9, 0.15]])
    return (plausible @ load_file(WEIGHTS)["coefficients"]).view(1, 68, 2)


def test_jaw_and_nose_do_not_come_through() -> None:
    face = average_head()
    other = face.clone()
    for part in (JAW, BRIDGE, NOSTRILS):
        other[:, part.start : part.stop] += torch.tensor([5.0, -3.0])
    torch.testing.assert_close(puppet_landmarks(other, POSE), puppet_landmarks(face, POSE))


def test_size_and_place_do_not_come_through() -> None:
    face = average_head()
    torch.testing.assert_close(puppet_landmarks(1.2 * face + 7, POSE), puppet_landmarks(face, POSE))


def test_an_opened_mouth_comes_through() -> None:
    face = average_head()
    opened = face.clone()
    lower = [INNER_LIPS.start + index for index in (5, 6, 7)]
    opened[:, [*lower, 55, 56, 57, 58, 59]] += torch.tensor([0.0, 6.0])
    made, closed = puppet_landmarks(opened, POSE), puppet_landmarks(face, POSE)
    assert action(made, "lips apart") > action(closed, "lips apart") + 0.05


def test_the_puppet_of_a_mirrored_face_is_the_mirrored_puppet() -> None:
    face = average_head() + torch.randn(1, 68, 2, generator=torch.Generator().manual_seed(0))
    pose = torch.tensor([[10.0, 5.0, -4.0]])
    mirrored = puppet_landmarks(mirror_landmarks(face, CROP_SIZE), pose * torch.tensor([-1.0, 1.0, -1.0]))
    torch.testing.assert_close(mirrored, mirror_landmarks(puppet_landmarks(face, pose), CROP_SIZE), atol=0.05, rtol=0)
