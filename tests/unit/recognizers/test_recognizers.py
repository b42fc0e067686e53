"""What every recognizer must be, and whether it tells true people apart."""

import numpy as np
import pytest
import torch
from orl_crops import orl_crops, require_assets
from real_faces import astronaut_faces

from veil.assets.registry import load_registry
from veil.errors import ConfigError
from veil.recognizers import load_recognizer
from veil.registry import recognizers
from veil.weights.frozen import FrozenNet

SHIPPED = ("mobilefacenet", "sface", "dlib_resnet")
EMBEDDING_SIZES = {"mobilefacenet": 192, "sface": 128, "dlib_resnet": 128}


@pytest.fixture(scope="module", params=SHIPPED)
def recognizer(request: pytest.FixtureRequest) -> FrozenNet:
    require_assets(recognizers.get(request.param).asset)
    return load_recognizer(request.param)


@pytest.mark.data
def test_frozen_and_described(recognizer: FrozenNet) -> None:
    assert recognizer.embedding_size == EMBEDDING_SIZES[recognizer.name]
    assert recognizer.asset_sha256 == load_registry().asset(recognizer.asset).sha256
    assert not any(parameter.requires_grad for parameter in recognizer.parameters())
    torch.nn.Sequential(recognizer).train()
    assert not any(module.training for module in recognizer.modules())


@pytest.mark.data
def test_embeddings_are_normalised_and_independent_of_the_batch(recognizer: FrozenNet) -> None:
    images = astronaut_faces(3).images
    embeddings = recognizer(images)
    assert embeddings.shape == (3, recognizer.embedding_size)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(torch.cat([recognizer(image[None]) for image in images]), embeddings, atol=1e-5, rtol=0)


@pytest.mark.data
def test_gradient_reaches_the_input(recognizer: FrozenNet) -> None:
    images = astronaut_faces(2).images.requires_grad_()
    first, second = recognizer(images)
    (gradient,) = torch.autograd.grad((first * second).sum(), images)
    assert torch.isfinite(gradient).all()
    # A step along the gradient must change the similarity as the gradient says.
    with torch.no_grad():
        step = 1e-3 * gradient / gradient.norm()
        ahead, behind = ((a * b).sum() for a, b in (recognizer(images + step), recognizer(images - step)))
    assert float(ahead - behind) == pytest.approx(2e-3 * float(gradient.norm()), rel=0.1)


@pytest.mark.data
def test_tells_people_apart(recognizer: FrozenNet) -> None:
    images, identities, _ = orl_crops(people=10, images_each=4)
    with torch.no_grad():
        embeddings = recognizer(images).numpy()
    first, second = np.triu_indices(len(identities), 1)
    scores = (embeddings[first] * embeddings[second]).sum(1)
    genuine = identities[first] == identities[second]
    threshold = np.quantile(scores[~genuine], 0.99)
    assert (scores[genuine] > threshold).mean() >= 0.95


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sface'"):
        load_recognizer("sfase")
