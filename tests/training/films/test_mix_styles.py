"""Styles are mixed while a network learns, and never when it is used."""

import pytest
import torch

from leakscan.fingerprint.encoders.networks import EfficientNetLite0
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.mix_styles import mix_styles_of, mixed_styles


def test_means_and_spreads_move_between_those_of_the_batch_and_the_pattern_stays():
    torch.manual_seed(0)
    pattern = torch.randn(1, 3, 16, 16)
    maps = torch.cat([pattern * scale + shift for scale, shift in ((1, 0), (2, 5), (4, -3))])
    mixed = mixed_styles(maps)
    assert not torch.allclose(mixed, maps, atol=0.1)
    for film in mixed:
        for own, channel in zip(pattern[0], film, strict=True):
            assert torch.corrcoef(torch.stack([own.flatten(), channel.flatten()]))[0, 1] > 0.999
    means = maps.mean(dim=(2, 3))
    assert (mixed.mean(dim=(2, 3)) >= means.amin(dim=0) - 1e-3).all()
    assert (mixed.mean(dim=(2, 3)) <= means.amax(dim=0) + 1e-3).all()


def test_a_network_mixes_in_training_alone():
    torch.manual_seed(0)
    net, films = EfficientNetLite0(8).eval(), torch.rand(4, 1, 64, 64)
    films[1] *= 0.2
    plain, early = net(films), net.trunk[:4](films)
    mix_styles_of(net, probability=1.0)
    assert torch.equal(net(films), plain)
    net.trunk[3].training = True  # its norms below stay as they are: only the mixing begins
    assert (net.trunk[:4](films) - early).abs().max() > 0.1 * early.abs().max()


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="EfficientNet-Lite0, not of resnet18"):
        TrainConfig(architecture="resnet18", mix_styles=0.5)
