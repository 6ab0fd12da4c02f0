"""A head that lies back to front or upside down is turned; one that fits no way stays as it lies."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool3d, interpolate

from leakscan.fingerprint.encoders.brain.brain_net import BrainNet

SURE = 0.8


class ByGrey(BrainNet):
    """Knows the seven tissues by their grey level, so it needs no training."""

    def tissue_maps(self, volumes: torch.Tensor) -> torch.Tensor:
        levels = torch.arange(1, 8).view(1, 7, 1, 1, 1)
        return avg_pool3d((1 - (8 * volumes - levels).abs()).clamp(min=0), 2)


def head(seed: int) -> torch.Tensor:
    """Lumps of seven grey levels inside an egg, ``(1, 1, 40, 48, 40)``."""
    chance = torch.Generator().manual_seed(seed)
    lumps = interpolate(torch.randn(1, 7, 8, 9, 8, generator=chance), size=(40, 48, 40), mode="trilinear")
    x, y, z = torch.meshgrid(*[torch.linspace(-1, 1, k) for k in (40, 48, 40)], indexing="ij")
    inside = torch.sqrt(x**2 + (0.9 * y) ** 2 + (1.1 * z) ** 2) < 0.62
    return ((lumps.argmax(dim=1, keepdim=True) + 1) * inside) / 8


@pytest.fixture(scope="module")
def net() -> BrainNet:
    """A network whose average brain is that of one head."""
    maps = ByGrey(widths=(8, 8)).tissue_maps(head(0))
    return ByGrey(maps[0], dim=8, widths=(8, 8), folds=16, overlooked=1).eval()


@pytest.mark.parametrize("axes", [(3,), (4,), (3, 4)], ids=["back to front", "upside down", "both"])
def test_a_flipped_head_comes_upright(net: BrainNet, axes: tuple[int, ...]) -> None:
    lying = torch.cat([head(0), head(0).flip(axes)])
    assert float(net.aligned(lying)[1][1]) < SURE <= float(net.aligned(lying)[1][0])
    known, fit = net.upright(lying)
    assert torch.allclose(known[0], known[1], atol=1e-4)
    assert float(fit.min()) >= SURE
    assert torch.equal(net.placed(lying[1:]).volume, head(0))


def test_a_head_that_fits_no_way_stays_as_it_lies(net: BrainNet) -> None:
    known, fit = net.upright(head(1))
    as_it_lies, its_fit = net.aligned(head(1))
    assert float(fit) < SURE
    assert torch.equal(known, as_it_lies)
    assert torch.equal(fit, its_fit)
    assert torch.equal(net.placed(head(1)).volume, head(1))
