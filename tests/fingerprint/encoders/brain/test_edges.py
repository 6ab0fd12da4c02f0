"""Lines of a brain are the same whatever its contrast, and differ between brains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.fingerprint.encoders.brain.edges import EDGE_CHANNELS, beyond_average, edge_tensors
from leakscan.training.brains.metric import scan_directions

SIDE = 24
INSIDE = torch.zeros(SIDE // 2, SIDE // 2, SIDE // 2, dtype=torch.bool)
INSIDE[2:-2, 2:-2, 2:-2] = True


def lumps(seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 1, 7, 7, 7, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(SIDE,) * 3, mode="trilinear", align_corners=True)


def lines(volume: torch.Tensor) -> torch.Tensor:
    return edge_tensors(volume, INSIDE)[:, :, INSIDE].flatten()


def alike(one: torch.Tensor, other: torch.Tensor) -> float:
    """Correlation of two sets of lines beyond what any two share."""
    return float(np.corrcoef(one.numpy(), other.numpy())[0, 1])


@settings(max_examples=15)
@given(st.integers(0, 99), st.floats(0.1, 9), st.floats(-3, 3), st.booleans())
def test_turning_the_grey_levels_round_or_stretching_them_moves_no_line(
    seed: int, stretch: float, shift: float, inverted: bool
) -> None:
    volume = lumps(seed)
    other = (-stretch if inverted else stretch) * volume + shift
    torch.testing.assert_close(lines(other), lines(volume), atol=2e-3, rtol=0)


def test_another_brightness_of_every_tissue_hardly_moves_the_lines() -> None:
    volume = lumps(1)
    tissue = (volume * 4).round() / 4
    t1, t2 = tissue**0.5, 1 - tissue**2
    assert alike(lines(t1), lines(t2)) > 0.9
    assert alike(lines(t1), lines(lumps(2))) < 0.5


def test_the_product_of_two_tensors_is_the_squared_cosine_between_their_lines() -> None:
    axes = torch.meshgrid(*[torch.linspace(0, 1, SIDE)] * 3, indexing="ij")
    ramp, slant = axes[0][None, None], (axes[0] + axes[1])[None, None]
    one, two = edge_tensors(ramp, INSIDE)[0, :, 5, 5, 5], edge_tensors(slant, INSIDE)[0, :, 5, 5, 5]
    assert len(one) == EDGE_CHANNELS
    sizes = float(one.norm() * two.norm())
    assert float(one @ two) / sizes == pytest.approx(0.5, abs=1e-3)


def test_where_nothing_changes_there_is_no_line() -> None:
    assert not edge_tensors(torch.full((1, 1, SIDE, SIDE, SIDE), 0.4), INSIDE).any()


def test_the_average_brain_and_a_blank_have_nothing_beyond_the_average() -> None:
    brains = torch.stack([lines(lumps(seed)) for seed in range(5)])
    average = brains.mean(dim=0)
    assert beyond_average(torch.stack([average, 0 * average]), average).abs().max() < 1e-6
    assert beyond_average(brains, average).norm(dim=1).min() > 1


def test_a_brain_with_half_its_edges_left_is_still_itself() -> None:
    brains = torch.stack([lines(lumps(seed)) for seed in range(5)])
    average = brains.mean(dim=0)
    places = torch.rand(brains.shape[1] // EDGE_CHANNELS, generator=torch.Generator().manual_seed(0)) < 0.5
    torn = brains * places.repeat(EDGE_CHANNELS)
    known, found = (torch.nn.functional.normalize(beyond_average(b, average)) for b in (brains, torn))
    assert (found @ known.T).argmax(dim=1).tolist() == [0, 1, 2, 3, 4]


def test_directions_in_which_scans_of_one_person_differ_are_found() -> None:
    rng = np.random.default_rng(0)
    nuisance = np.linalg.qr(rng.normal(size=(300, 3)))[0].T.astype(np.float32)
    people = np.repeat(np.arange(20), 4)
    persons = rng.normal(size=(20, 300))[people]
    maps = persons + 5 * rng.normal(size=(80, 3)) @ nuisance + 0.01 * rng.normal(size=(80, 300))
    found = scan_directions(maps.astype(np.float32), people, 3)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-4)
    assert np.linalg.norm(found @ nuisance.T, axis=1).min() > 0.99


def test_views_that_do_not_differ_have_no_directions() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    views = np.concatenate([maps, maps + 0.1 * maps[:1]])
    assert len(scan_directions(views, np.tile(np.arange(3), 2), 10)) == 1
