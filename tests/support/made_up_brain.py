"""An encoder of volumes whose network is untrained: what it says means nothing, how it says it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.encoders.encoder import Encoded
from leakscan.fingerprint.preprocess.volume import SHAPE
from leakscan.training.shipping.ship_brain import ship_brain
from support.makers import unit_vectors

SUBJECTS = 110


def lump(seed: int, shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.uint8]:
    """A smooth volume like no other."""
    coarse = np.random.default_rng([5, seed]).uniform(0, 255, (5, 6, 5))
    zoom = np.array(shape) / coarse.shape
    return np.clip(ndimage.zoom(coarse, zoom, order=1), 0, 255).astype(np.uint8)


def make_model(folder: Path) -> Path:
    """Writes a model folder that no volume is refused by, and returns it."""
    torch.manual_seed(0)
    template = torch.zeros(7, *(k // 2 for k in SHAPE))
    template[:, 15:25, 18:30, 15:25] = torch.rand(7, 10, 12, 10) / 7
    net = BrainNet(template, 128, (8, 8)).eval()
    net.axes = torch.randn_like(net.axes)
    dim = len(net.axes) + net.folds
    prints = np.concatenate([unit_vectors(1, SUBJECTS, dim), unit_vectors(1, 5, dim)])
    seen = Encoded(prints, np.ones(len(prints), bool), np.linspace(0.5, 0.9, len(prints), dtype=np.float32))
    subjects = np.array([f"s{i}" for i in [*range(SUBJECTS), *range(5)]])
    ship_brain(net, folder, seen, subjects, "lumps", {})
    return folder
