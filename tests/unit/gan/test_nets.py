"""Generator and discriminator: shapes, and no image that depends on its neighbours."""

import pytest
import torch
from torch import nn

from trainables.gan.patchgan import PatchGAN
from trainables.gan.unet import UNet, group_norm


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_unet_shape_and_range(channels):
    images = UNet(channels, 12)(torch.randn(2, channels, 112, 112))
    assert images.shape == (2, 3, 112, 112)
    assert images.abs().max() <= 1


def test_a_code_changes_nothing_before_training_and_the_image_after():
    torch.manual_seed(0)
    plain = UNet(2, 8)
    torch.manual_seed(0)
    coded = UNet(2, 8, code_size=3)
    names, values = set(plain.state_dict()), coded.state_dict()
    assert {name for name in values if not name.startswith("film.")} == names
    assert all(torch.equal(values[name], value) for name, value in plain.state_dict().items())
    condition, codes = torch.randn(2, 2, 112, 112), torch.randn(2, 3)
    assert torch.equal(coded(condition, codes), plain(condition))
    torch.nn.init.normal_(coded.film.layers[-1].weight, std=0.1)
    images = coded(condition, codes)
    assert (images - plain(condition)).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    torch.testing.assert_close(coded(condition[1:], codes[1:]), images[1:], rtol=0, atol=1e-5)


def test_an_untrained_net_gives_its_canvas_back_and_learns_from_there():
    condition = torch.rand(2, 3, 112, 112) * 1.9 - 0.95
    net = UNet(3, 8, canvas=1)
    torch.testing.assert_close(net(condition), condition[:, [1]].expand(-1, 3, -1, -1))
    net(condition.sign()).square().mean().backward()
    gradient = net.out.weight.grad
    assert gradient.isfinite().all() and gradient.any()


def test_scale_and_shift_are_those_of_film():
    net = UNet(1, 8, code_size=2)
    torch.nn.init.normal_(net.film.layers[-1].weight)
    code = torch.randn(3, 2)
    middle, *decoder = net.film(code)
    assert [part.shape[1] for part in decoder] == [2 * up.norm.num_channels for up in net.up]
    normalised = []
    net.middle.norm.register_forward_hook(lambda module, inputs, output: normalised.append(output))
    features = torch.randn(3, 64, 7, 7)
    found = net.middle(features, middle) - features
    scale, shift = middle[:, :64, None, None], middle[:, 64:, None, None]
    torch.testing.assert_close(found, torch.relu(normalised[0] * (1 + scale) + shift))


def test_patchgan_judges_14_by_14_patches_of_38_pixels():
    net = PatchGAN(1, 8)
    images = torch.zeros(1, 3, 112, 112, requires_grad=True)
    condition = torch.zeros(1, 1, 112, 112)
    logits = net.layers[0](torch.cat([condition, images], 1))
    for layer in net.layers[1:]:
        if not isinstance(
            layer, nn.GroupNorm
        ):  # a norm spreads each pixel over the image; the patch is the convolutions'
            logits = layer(logits)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows = images.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 38


@pytest.mark.parametrize("build", [lambda: UNet(3, 8), lambda: PatchGAN(3, 8)])
def test_every_norm_is_per_image_and_nothing_is_transposed(build):
    kinds = {type(module) for module in build().modules()}
    assert nn.GroupNorm in kinds
    assert not kinds & {nn.BatchNorm2d, nn.SyncBatchNorm, nn.ConvTranspose2d}


def test_an_image_does_not_depend_on_the_others_in_its_batch():
    torch.manual_seed(0)
    condition = torch.randn(3, 3, 112, 112)
    net, judge = UNet(3, 8), PatchGAN(3, 8)
    images = net(condition)
    torch.testing.assert_close(net(condition[1:2]), images[1:2], rtol=0, atol=1e-5)
    torch.testing.assert_close(judge(condition[1:2], images[1:2]), judge(condition, images)[1:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [8, 12, 20, 24, 30, 64])
def test_groups_divide_the_channels(channels):
    assert channels % group_norm(channels).num_groups == 0
