"""Every architecture a card may name builds, runs, and gives fingerprints of the right length."""

import pytest
import torch

from leakscan.fingerprint.encoders.networks import ARCHITECTURES, EfficientNetLite0


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_an_architecture_turns_arrays_into_fingerprints(name):
    net = ARCHITECTURES[name](128).eval()
    shape = (2, 1, 24, 24, 24) if name.endswith("3d") else (2, 1, 64, 64)
    with torch.inference_mode():
        x = torch.rand(shape)
        assert net(x).shape == (2, 128)
        assert torch.allclose(net(x), net.head(net.features(x)))


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="EfficientNet-Lite0"):
        EfficientNetLite0().load_imagenet({"conv.weight": torch.zeros(3, 3, 3, 3)})
