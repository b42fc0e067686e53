"""The terms against closed forms and independent implementations."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.special import softmax
from scipy.stats import entropy
from torch import nn

from trainables.gan.objective import (
    LossWeights,
    adversarial_loss,
    discriminator_loss,
    diversity_loss,
    expression_loss,
    identity_loss,
    perceptual_loss,
    r1_penalty,
    reconstruction_loss,
    target_loss,
)


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("hinge", 0.5 + 0.75, 0.25),
        ("nonsaturating", math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-0.25)), math.log1p(math.exp(0.25))),
        ("lsgan", 0.5 * 0.25 + 0.5 * 0.0625, 0.5 * 1.25**2),
    ],
)
def test_adversarial_losses_by_hand(kind, discriminator, generator):
    real, fake = torch.full((2, 1, 3, 3), 0.5), torch.full((2, 1, 3, 3), -0.25)
    assert discriminator_loss(real, fake, kind)[0].item() == pytest.approx(discriminator)
    assert adversarial_loss(fake, kind)[0].item() == pytest.approx(generator)


def test_r1_of_a_linear_judge_is_its_squared_weights():
    class Linear(nn.Module):
        def forward(self, condition, images):
            return (images * 0.5).sum((1, 2, 3)).view(-1, 1, 1, 1)

    penalty, parts = r1_penalty(Linear(), torch.zeros(2, 1, 4, 4), torch.randn(2, 3, 4, 4))
    assert penalty.item() == pytest.approx(0.25 * 48)
    assert parts["loss/r1"] is penalty


def test_r1_trains_the_judge():
    judge = nn.Conv2d(3, 1, 3)

    class Judge(nn.Module):
        def forward(self, condition, images):
            return torch.tanh(judge(images))

    penalty, _ = r1_penalty(Judge(), torch.zeros(2, 1, 8, 8), torch.randn(2, 3, 8, 8))
    (gradient,) = torch.autograd.grad(penalty, judge.weight)
    assert gradient.abs().sum() > 0


def test_reconstruction_sees_structure_and_not_texture():
    texture = torch.ones(1, 3, 112, 112)
    texture[..., ::2] = -1  # alternating columns vanish in any cell of even width
    flat = torch.zeros(1, 3, 112, 112)
    assert reconstruction_loss(texture, flat, 28)[0].tolist() == [0]
    assert reconstruction_loss(texture, flat, 112)[0].tolist() == [1]
    both = reconstruction_loss(torch.cat([flat + 0.25, flat]), torch.cat([flat, flat]), 28)
    assert both[0].tolist() == pytest.approx([0.25, 0])
    assert both[1]["loss/rec"].item() == pytest.approx(0.125)


def test_reconstruction_may_be_asked_for_in_a_part_of_the_image_alone():
    flat = torch.zeros(2, 3, 112, 112)
    images = flat.clone()
    images[:, :, :, :28], images[:, :, :, 28:] = 0.25, 0.75
    where = torch.zeros(2, 1, 112, 112)
    where[0, :, :, :28] = 1
    assert reconstruction_loss(images, flat, 28, where)[0].tolist() == pytest.approx([0.25, 0])
    everywhere = torch.ones_like(where)
    assert torch.equal(reconstruction_loss(images, flat, 28, everywhere)[0], reconstruction_loss(images, flat, 28)[0])


def test_perceptual_loss_compares_what_is_left_of_coarse_cells():
    def distance(images, originals):
        return (images - originals).abs().mean(dim=(1, 2, 3))

    texture, flat = torch.ones(2, 3, 112, 112), torch.zeros(2, 3, 112, 112)
    texture[0, ..., ::2] = -1
    loss, parts = perceptual_loss(texture, flat, 28, distance)
    assert loss.tolist() == [0, 1]
    assert parts["loss/perceptual"].item() == 0.5


def test_identity_loss_is_the_mean_cosine_above_the_margin():
    cosines = torch.tensor([0.8, 0.2, -0.5])
    embeddings = torch.stack([cosines, (1 - cosines**2).sqrt()], dim=1)
    target = torch.tensor([[1.0, 0.0]]).expand(3, 2)
    loss, parts = identity_loss([embeddings, target], [target, target], margin=0.3)
    assert loss.tolist() == pytest.approx([(0.5 + 0.7) / 2, 0.35, 0.35])
    assert parts["loss/id"].item() == pytest.approx((0.5 + 0 + 0 + 3 * 0.7) / 6)
    assert parts["proxy/cosine"].item() == pytest.approx((0.5 + 3) / 6)
    assert diversity_loss([embeddings, target], [target, target], margin=0.3)[0].tolist() == loss.tolist()
    assert target_loss([embeddings, target], [target, target])[0].tolist() == pytest.approx([0.1, 0.4, 0.75])


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_expression_loss_is_the_divergence_that_scipy_computes(temperature):
    generator = np.random.default_rng(0)
    logits, target = generator.normal(size=(2, 5, 7)) * 3
    divergence = temperature**2 * entropy(softmax(target / temperature, 1), softmax(logits / temperature, 1), axis=1)
    features, target_features = generator.normal(size=(2, 5, 9))
    turned = np.array([cosine(*pair) for pair in zip(features, target_features, strict=True)])
    outputs, targets = (torch.tensor(np.hstack(pair)) for pair in ((features, logits), (target_features, target)))
    for kind, expected in (("kl", divergence), ("feature", turned), ("kl+feature", divergence + turned)):
        loss, parts = expression_loss(outputs, targets, kind, temperature)
        np.testing.assert_allclose(loss, expected)
        assert parts["loss/expr"].item() == pytest.approx(expected.mean())
        np.testing.assert_allclose(expression_loss(targets, targets, kind, temperature)[0], 0, atol=1e-12)
    without = expression_loss(outputs[:, 9:], targets[:, 9:], "kl", temperature)[0]
    np.testing.assert_allclose(without, divergence)


@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
@pytest.mark.parametrize("term", ["adv", "rec", "id", "expr", "diversity", "target", "perceptual"])
def test_no_weight_is_negative_or_undefined(term, wrong):
    with pytest.raises(ValueError, match=f"weight of {term}"):
        LossWeights(**{term: wrong})
