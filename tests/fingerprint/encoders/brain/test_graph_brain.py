"""Brains need no torch: ONNX Runtime and NumPy say of a volume what torch says of it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leakscan.fingerprint.encoders.brain import brain_space, edges
from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.brain.graph_brain import GraphBrainEncoder, PlacedArrays
from leakscan.fingerprint.encoders.brain.lines import edge_tensors
from leakscan.fingerprint.encoders.brain.placing import AverageBrain, resample, settle
from leakscan.fingerprint.encoders.load import load_encoder, runs_in_workers
from leakscan.fingerprint.encoders.registry import cards
from leakscan.fingerprint.preprocess.head import may_be_a_head
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.synthetic.heads import draw_brain
from support.made_up_brain import make_model

Volume = npt.NDArray[np.uint8]


def canonical(seed: int) -> Volume:
    """A drawn head as an encoder is shown it."""
    head = draw_brain(np.random.default_rng(seed), spacing_mm=3.0).astype(np.float32)
    return np.rint(canonical_volume(head, (3.0,) * 3, SHAPE, STEP_MM) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def shipped() -> GraphBrainEncoder:
    encoder = load_encoder(*cards()["brain-folds"])
    assert isinstance(encoder, GraphBrainEncoder)
    return encoder


@pytest.mark.slow
def test_a_head_has_the_fingerprint_that_torch_gives_it(shipped: GraphBrainEncoder) -> None:
    head = canonical(3)[None]
    ours, theirs = (encoder.encode(head) for encoder in (shipped, BrainEncoder(shipped.card, shipped.folder)))
    assert float((ours.fingerprints * theirs.fingerprints).sum()) == pytest.approx(1, abs=1e-4)
    assert float(ours.quality[0]) == pytest.approx(float(theirs.quality[0]), abs=2e-3)


def test_folds_agree_with_themselves_and_not_with_those_of_others(shipped: GraphBrainEncoder) -> None:
    one, other = (shipped.placed(canonical(seed)) for seed in (0, 9))
    assert shipped.agreement(one, one) > 0.99 > shipped.agreement(one, other) + 0.1


@pytest.mark.parametrize(
    ("axes", "fits", "tried"),
    [((1,), (0.9, 0.6), 2), ((1, 2), (0.9, 0.6), 4), ((1,), (0.7, 0.6), 4), ((1,), (0.9, 0.3), 1)],
    ids=["back to front", "and upside down", "fits no way", "no head in any position"],
)
def test_only_a_head_is_tried_in_other_positions(
    axes: tuple[int, ...], fits: tuple[float, float], tried: int
) -> None:
    upright = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    seen = []

    def placed(grey: npt.NDArray[np.float32]) -> PlacedArrays:
        seen.append(grey)
        fit = fits[0] if np.array_equal(np.rint(grey * 255), upright) else fits[1]
        none = np.empty(0, np.float32)
        return PlacedArrays(volume=grey, pose=np.eye(4), edges=none, seen=none, tissues=none, fit=fit)

    encoder = object.__new__(GraphBrainEncoder)
    encoder._placed = placed  # type: ignore[method-assign]
    found = encoder.placed(np.flip(upright, axes))
    assert len(seen) == tried
    assert found.fit == (0.9 if fits[0] > 0.8 and tried > 1 else fits[1])


def test_geometry_is_that_of_torch() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((7, 20, 24, 20)).astype(np.float32)
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pose[:3, 3] = 7.0, -3.0, 4.0
    ours = resample(maps, pose, 5.0)
    theirs = brain_space.resample(torch.from_numpy(maps)[None], torch.from_numpy(pose).float()[None], 5.0)[0]
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
    grey, inside = rng.random((20, 24, 20)).astype(np.float32), np.ones((10, 12, 10), bool)
    lines = edge_tensors(grey, inside)
    same = edges.edge_tensors(torch.from_numpy(grey)[None, None], torch.from_numpy(inside))[0]
    np.testing.assert_allclose(lines, same.numpy(), atol=1e-5)
    wanted = np.roll(lines, 1, axis=1)
    everywhere = np.ones((10, 12, 10), np.float32)
    tensors = [torch.from_numpy(x) for x in (lines[None], everywhere[None, None], wanted, inside)]
    np.testing.assert_allclose(
        settle(lines, everywhere, wanted, inside, 5.0),
        brain_space.settle(*tensors, 5.0)[0].numpy(),
        atol=1e-2,
    )


def test_a_brain_far_from_its_place_is_brought_there() -> None:
    x, y, z = np.meshgrid(*[np.linspace(-2, 2, k, dtype=np.float32) for k in (20, 24, 20)], indexing="ij")
    one = np.exp(-2 * (x**2 + 2 * y**2 + 3 * z**2))
    template = np.stack([one * (i + 1) / 28 for i in range(7)])
    brain = AverageBrain(template, np.zeros((6, 20, 24, 20), np.float32), 5.0)
    moved = np.roll(template, (2, -1), axis=(1, 3))
    assert brain.fit(moved) < 0.9
    assert brain.fit(resample(moved, brain.pose_of(moved), 5.0)) > 0.99


def noise(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.random((40, 48, 40), np.float32)


def sheet(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    flat = np.zeros((40, 48, 40), np.float32)
    flat[:, :, 18:21] = 1 + rng.random((40, 48, 3))
    return flat


def speck(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    small = np.zeros((40, 48, 40), np.float32)
    small[10:14, 10:14, 10:14] = 1 + rng.random((4, 4, 4))
    return small


@pytest.mark.parametrize("draw", [noise, sheet, speck])
def test_what_is_no_head_is_refused_before_the_network(shipped: GraphBrainEncoder, draw: object) -> None:
    volume = draw(np.random.default_rng(0))  # type: ignore[operator]
    shown = np.rint(canonical_volume(volume, (5.0,) * 3, SHAPE, STEP_MM) * 255).astype(np.uint8)
    began = time.process_time()
    found = shipped.encode(shown[None])
    assert time.process_time() - began < 0.2
    assert not found.accepted[0]
    assert found.quality[0] == -1.0


@pytest.mark.parametrize("seed", range(6))
def test_drawn_heads_and_parts_of_them_may_be_heads(seed: int) -> None:
    head = canonical(seed)
    assert may_be_a_head(head)
    assert may_be_a_head(head[::-1, ::-1])
    head[:, 60:] = 0  # its front is cut off
    assert may_be_a_head(head)


def test_a_network_of_another_size_runs_in_torch(tmp_path: Path, as_volumes_lie: None) -> None:
    folder = make_model(tmp_path / "small-brains")
    from leakscan.fingerprint.encoders.card import read_card

    card = read_card(folder)
    assert not runs_in_workers(card, folder)
    assert isinstance(load_encoder(card, folder), BrainEncoder)
