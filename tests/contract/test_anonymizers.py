"""What every anonymizer must keep: the registered ones by default, a generator under each conditioning, k-Same."""

import pytest
import torch
from attack_sets import StripeExpression, pattern_faces
from real_faces import astronaut_faces

from trainables.anonymizers.generative import GeneratorAnonymizer
from trainables.anonymizers.ksame import KSame
from trainables.anonymizers.pool import FacePool
from trainables.anonymizers.published import PublishedFaces
from trainables.conditioning import build_conditioning
from trainables.gan.unet import UNet
from veil.faces.exported import crop_sha256
from veil.faces.table import tensor_to_images
from veil.interfaces import Anonymizer, FaceBatch
from veil.registry import anonymizers, conditionings


def generator(name):
    conditioning = build_conditioning(name)
    torch.manual_seed(0)
    return GeneratorAnonymizer(UNet(conditioning.channels, 8), conditioning)


def published():
    """Outputs of another tool for the very faces of these tests."""
    crops = tensor_to_images(astronaut_faces(4).images)
    return PublishedFaces({crop_sha256(crop): 255 - crop for crop in crops})


def ksame(method):
    people = pattern_faces({"train": 6}, images=2)
    pool = FacePool.build(people, ["happy", "sad"] * 6 if method == "select" else ())
    return KSame(pool, method, 3, StripeExpression() if method == "select" else None)


ANONYMIZERS = (
    {name: anonymizers.get(name) for name in anonymizers.names()}
    | {f"generator on {name}": lambda name=name: generator(name) for name in conditionings.names()}
    | {f"k-Same {method}": lambda method=method: ksame(method) for method in ("average", "select", "furthest")}
)
ANONYMIZERS["published"] = published


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(4)


@pytest.fixture(params=list(ANONYMIZERS))
def anonymizer(request):
    return ANONYMIZERS[request.param]()


def test_shape_range_and_type(anonymizer, faces):
    images = anonymizer(faces)
    assert isinstance(anonymizer, Anonymizer)
    assert images.shape == faces.images.shape
    assert images.dtype is torch.float32
    assert torch.isfinite(images).all()
    assert images.min() >= -1 and images.max() <= 1
    assert not images.requires_grad


def test_changes_the_face(anonymizer, faces):
    assert (anonymizer(faces) - faces.images).abs().mean() > 0.01


def test_deterministic_and_leaves_its_input_alone(anonymizer, faces):
    before = faces.images.clone()
    assert torch.equal(anonymizer(faces), anonymizer(faces))
    assert torch.equal(faces.images, before)


def test_one_by_one_equals_the_batch(anonymizer, faces):
    single = [anonymizer(FaceBatch(*(value[i : i + 1] for value in faces))) for i in range(4)]
    torch.testing.assert_close(torch.cat(single), anonymizer(faces), rtol=0, atol=1e-4)


def test_the_order_of_the_faces_does_not_matter(anonymizer, faces):
    backwards = anonymizer(FaceBatch(*(value.flip(0) for value in faces))).flip(0)
    torch.testing.assert_close(backwards, anonymizer(faces), rtol=0, atol=1e-4)
