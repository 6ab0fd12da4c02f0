"""Aligned tissue maps lie where the average brain lies, however the head lay."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.fingerprint.encoders.brain.brain_space import align_to_average, average_brain, resample, settle
from leakscan.fingerprint.encoders.brain.edges import edge_tensors
from leakscan.fingerprint.encoders.brain.tissue_net import TISSUE_CHANNELS, TissueNet
from leakscan.training.brains.metric import fit_metric

STEP = 5.0


def brain(seed: int = 0) -> torch.Tensor:
    """Seven lumpy maps ``(1, 7, 40, 48, 40)`` inside an egg."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.nn.functional.interpolate(
        torch.randn(1, 7, 8, 9, 8, generator=rng), size=(40, 48, 40), mode="trilinear"
    )
    axes = [torch.linspace(-1, 1, k) for k in (40, 48, 40)]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    egg = torch.sigmoid(20 * (0.62 - torch.sqrt(x**2 + (0.9 * y) ** 2 + (z * 1.1) ** 2)))
    return (2 * noise).softmax(dim=1) * egg


def moved(maps: torch.Tensor, degrees: float, shift: tuple[float, float, float]) -> torch.Tensor:
    angle = math.radians(degrees)
    pose = torch.eye(4)[None].clone()
    pose[0, 0, 0] = pose[0, 1, 1] = math.cos(angle)
    pose[0, 0, 1], pose[0, 1, 0] = -math.sin(angle), math.sin(angle)
    pose[0, :3, 3] = torch.tensor(shift)
    return resample(maps, pose, STEP)


@settings(max_examples=10)
@given(st.floats(-20, 20), st.tuples(*[st.floats(-20, 20)] * 3))
def test_a_turned_and_shifted_brain_comes_back(degrees: float, shift: tuple[float, float, float]) -> None:
    maps = brain()
    back, _, fit = align_to_average(moved(maps, degrees, shift), maps[0], STEP)
    assert float(fit) > 0.95
    inner = maps.sum(dim=1, keepdim=True) > 0.9
    assert float(((back - maps) * inner).abs().mean()) < 0.02


def test_the_fit_is_low_where_there_is_no_such_brain() -> None:
    template = brain()[0]
    nothing = torch.zeros(1, 7, 40, 48, 40)
    _, _, fit_of_nothing = align_to_average(nothing, template, STEP)
    _, _, fit_of_other_tissues = align_to_average(brain().roll(3, dims=1), template, STEP)
    assert float(fit_of_nothing) < 0.1
    assert float(fit_of_other_tissues) < 0.8


def test_the_average_of_one_brain_in_many_places_is_that_brain() -> None:
    maps = brain()
    scattered = torch.cat([moved(maps, d, (d / 2, -d / 3, 0.0)) for d in (-12.0, -5.0, 3.0, 9.0)])
    mean = average_brain(scattered, STEP)
    _, _, fit = align_to_average(maps, mean, STEP)
    assert float(fit) > 0.95


def scan(seed: int = 0) -> torch.Tensor:
    """A lumpy head ``(1, 1, 80, 96, 80)`` of 2.5 mm."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 11, 13, 11, generator=rng) + 0.1
    return torch.nn.functional.interpolate(coarse, size=(80, 96, 80), mode="trilinear")


INNER = torch.zeros(40, 48, 40, dtype=torch.bool)
INNER[8:-8, 8:-8, 8:-8] = True


@settings(max_examples=10)
@given(
    degrees=st.floats(-8, 8),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
    inverted=st.booleans(),
    cut=st.booleans(),
)
def test_lines_bring_a_brain_home_whatever_its_contrast_and_what_was_cut_off(
    degrees: float, shift: tuple[float, float, float], inverted: bool, cut: bool
) -> None:
    head = scan()
    average = edge_tensors(head, INNER)[0]
    lies = torch.eye(4)[None].clone()
    angle = math.radians(degrees)
    lies[0, 0, 0] = lies[0, 1, 1] = math.cos(angle)
    lies[0, 0, 1], lies[0, 1, 0] = -math.sin(angle), math.sin(angle)
    lies[0, :3, 3] = torch.tensor(shift)
    image = resample(head, lies, STEP / 2)
    image = 1.2 - image if inverted else image
    seen = torch.ones(1, 1, 40, 48, 40)
    if cut:
        image[:, :, :, :34] = 0
        seen[:, :, :, :17] = 0
    pose = settle(edge_tensors(image, INNER), seen, average, INNER, STEP)
    back = (lies @ pose)[0]
    turned = math.degrees(math.acos(min(1.0, (float(back[:3, :3].trace()) - 1) / 2)))
    assert turned < 1
    assert float(back[:3, 3].norm()) < 1


def test_where_there_are_no_lines_nothing_moves() -> None:
    average = edge_tensors(scan(), INNER)[0]
    blank = edge_tensors(torch.zeros(1, 1, 80, 96, 80), INNER)
    pose = settle(blank, torch.zeros(1, 1, 40, 48, 40), average, INNER, STEP)
    torch.testing.assert_close(pose[0], torch.eye(4))


def test_the_tissue_network_names_every_voxel() -> None:
    torch.manual_seed(0)
    logits = TissueNet((8, 16, 24)).eval()(torch.rand(2, 1, 16, 24, 16))
    assert logits.shape == (2, TISSUE_CHANNELS, 16, 24, 16)


def test_the_metric_ignores_what_differs_between_scans_of_one_person() -> None:
    rng = np.random.default_rng(0)
    who, scan = rng.normal(size=(3, 500)), rng.normal(size=(5, 500))
    people = np.repeat(np.arange(60), 4)
    strengths = rng.normal(size=(60, 3))[people]
    maps = strengths @ who + 6 * rng.normal(size=(240, 5)) @ scan + 0.1 * rng.normal(size=(240, 500))
    metric = fit_metric(maps[:160].astype(np.float32), people[:160], 40, 0.01, dim=3)
    prints = metric(maps[160:].astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(prints, axis=1), 1, atol=1e-5)
    near = prints @ prints.T - 2 * np.eye(80)
    assert (people[160:][near.argmax(axis=1)] == people[160:]).mean() > 0.9
    raw = maps[160:] @ maps[160:].T
    np.fill_diagonal(raw, -np.inf)
    assert (people[160:][raw.argmax(axis=1)] == people[160:]).mean() < 0.5
