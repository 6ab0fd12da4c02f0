"""Views of a brain: what they promise to the networks that learn from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leakscan.fingerprint.preprocess.volume import SHAPE
from leakscan.synthetic.brains.generator import Manner, make_views
from leakscan.synthetic.brains.people import GRID, People
from leakscan.synthetic.brains.space import Pose
from leakscan.synthetic.brains.tissue_labels import SHADES, TISSUES, UNKNOWN, shade_table, tissue_table

STILL = Manner(
    pose=Pose(0, 0, 0, 0),
    bias=0,
    noise=0,
    thick=0,
    blur=0,
    stripped=0,
    defaced=0,
    cropped=0,
    blobs=0,
    painted=1,
)


@pytest.fixture(scope="module")
def people() -> People:
    """Two heads drawn with balls: white matter in cortex in fluid, a skull around the second."""
    x, y, z = np.meshgrid(*[np.arange(k) - (k - 1) / 2 for k in GRID], indexing="ij")
    radius = np.sqrt(x**2 + (0.9 * y) ** 2 + z**2)
    labels = np.zeros((2, *GRID), np.uint8)
    for r, label in ((38, 24), (34, 3), (24, 2)):
        labels[:, radius < r] = label
    labels[1, (radius > 40) & (radius < 44)] = 165
    none = np.zeros((2, *GRID), np.uint8)
    return People(
        subjects=np.array(["a", "b"]),
        shades=shade_table("freesurfer")[labels],
        tissues=tissue_table("freesurfer")[labels],
        t1=none,
        labelled=np.array([True, True]),
        imaged=np.array([False, False]),
    )


@pytest.mark.parametrize("atlas", ["freesurfer", "muse"])
def test_every_tissue_has_labels_and_air_is_none(atlas: str) -> None:
    tissues, shades = tissue_table(atlas), shade_table(atlas)  # type: ignore[arg-type]
    assert set(tissues) == set(range(len(TISSUES)))
    assert tissues[0] == shades[0] == 0
    assert (shades[1:][tissues[1:] == 0] >= SHADES).all()


def test_views_are_canonical_arrays_with_the_tissues_where_they_were(people: People) -> None:
    torch.manual_seed(0)
    views = make_views(people, STILL)
    assert views.images.shape == (2, 1, *SHAPE)
    assert views.images.min() >= 0 and views.images.max() <= 1
    middle = tuple(k // 2 for k in SHAPE)
    assert TISSUES[int(views.tissues[0][middle])] == "white_matter"
    white = (views.tissues[0] == 1).float().mean() * np.prod(SHAPE) * 2.5**3
    assert float(white) == pytest.approx(float((people.tissues[0] == 1).sum()) * 8, rel=0.02)


def test_one_tissue_has_one_grey_in_a_clean_view_and_another_in_the_next(people: People) -> None:
    torch.manual_seed(3)
    greys = []
    for _ in range(4):
        views = make_views(people, STILL)
        deep_in = torch.nn.functional.avg_pool3d((views.tissues == 1).float()[:, None], 7, 1, 3) > 0.99
        inside = views.images[0][deep_in[0]]
        assert inside.std() < 0.1
        greys.append(float(inside.mean()))
    assert np.ptp(greys) > 0.05


def test_a_stripped_view_is_black_outside_the_brain(people: People) -> None:
    torch.manual_seed(0)
    views = make_views(people, Manner(stripped=1.0, cropped=0, blobs=0))
    far = torch.nn.functional.avg_pool3d(views.tissues.clamp(max=1).float()[:, None], 9, 1, 4) == 0
    assert float(views.images[far].max()) < 0.02


def test_swellings_are_marked_as_unknown(people: People) -> None:
    torch.manual_seed(0)
    views = make_views(people, Manner(blobs=1.0))
    assert (views.tissues == UNKNOWN).any()


def test_a_seed_is_a_person_and_another_seed_another(people: People) -> None:
    def tissues(seed: int, state: int) -> torch.Tensor:
        torch.manual_seed(state)
        return make_views(people, STILL, people_seeds=[seed, seed], anatomy_mm=4.0).tissues

    once, again, other = tissues(5, 0), tissues(5, 1), tissues(6, 0)
    assert torch.equal(once, again)
    assert (once != other).float().mean() > 0.01
