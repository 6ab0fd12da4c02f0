"""Every architecture a card may name builds, runs, and gives fingerprints of the right length."""

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from leakscan.fingerprint.encoders.folding import fold_norms
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, EfficientNetLite0, PlacedMean


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_an_architecture_turns_arrays_into_fingerprints(name):
    net = ARCHITECTURES[name](128).eval()
    shape = (2, 1, 24, 24, 24) if name.endswith("3d") else (2, 1, 64, 64)
    with torch.inference_mode():
        x = torch.rand(shape)
        assert net(x).shape == (2, 128)
        assert torch.allclose(net(x), net.head(net.features(x)))


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_folded_normalisations_compute_the_same(name):
    torch.manual_seed(0)
    net = ARCHITECTURES[name](128)
    x = torch.rand((4, 1, 24, 24, 24) if name.endswith("3d") else (4, 1, 64, 64))
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.momentum = None  # statistics of this batch, so that values stay in their usual range
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.3, 0.3)
    net.train()(x)
    net.eval()
    with torch.inference_mode():
        before = net(x)
        fold_norms(net)
        torch.testing.assert_close(net(x), before, rtol=1e-3, atol=1e-3 * float(before.abs().max()))
    assert not any(isinstance(layer, _BatchNorm) for layer in net.modules())


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="EfficientNet-Lite0"):
        EfficientNetLite0().load_imagenet({"conv.weight": torch.zeros(3, 3, 3, 3)})


def test_weighing_places_starts_as_the_mean_and_says_where():
    pool = PlacedMean(1280, 6)
    maps = torch.rand(2, 1280, 6, 6)
    torch.testing.assert_close(pool(maps), maps.mean(dim=(2, 3)))
    with torch.no_grad():
        pool.weight[:, 0, 0] = 1.0
    moved = maps.roll(1, 2)
    assert not torch.allclose(pool(maps), pool(moved), atol=1e-4)
    larger = maps.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(pool(larger), pool(maps), rtol=0.05, atol=0.01)
