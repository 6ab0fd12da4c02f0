"""Makes views of heads: images that a scanner might have made, and what each voxel is."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from leakscan.fingerprint.preprocess.volume import STEP_MM
from leakscan.synthetic.brains import acquisition as acq
from leakscan.synthetic.brains.contrast import paint, random_curves, random_greys
from leakscan.synthetic.brains.people import People
from leakscan.synthetic.brains.space import Pose, deformation, places, poses
from leakscan.synthetic.brains.tissue_labels import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How far views may differ from a clean scan.

    Attributes:
        pose: The pose of the head in the scanner.
        bias: The largest logarithmic spread of the bias field.
        noise: The largest share of noise.
        thickest_mm: The thickest slices.
        thick: The share of views with thick slices.
        blur: The largest blur in voxels.
        stripped: The share of whole heads that lose all but the brain.
        defaced: The share of views whose face is cut off.
        cropped: The share of views whose field ends early, along each axis.
        blobs: The share of views with a swelling.
        mirrored: The share of views in which left and right change places.
        painted: The share of heads with both labels and T1 that are painted by their labels.
    """

    pose: Pose = field(default_factory=Pose)
    bias: float = 0.4
    noise: float = 0.08
    thickest_mm: float = 6.0
    thick: float = 0.5
    blur: float = 0.8
    stripped: float = 0.4
    defaced: float = 0.1
    cropped: float = 0.08
    blobs: float = 0.15
    mirrored: float = 0.0
    painted: float = 0.5


@dataclass(frozen=True)
class Views:
    """A batch of views.

    Attributes:
        images: ``(n, 1, x, y, z)`` float32 in 0..1, on the canonical grid.
        tissues: ``(n, x, y, z)`` int64, positions in ``TISSUES`` or ``UNKNOWN``.
    """

    images: torch.Tensor
    tissues: torch.Tensor


def make_views(
    people: People,
    manner: Manner,
    device: torch.device | None = None,
    people_seeds: list[int] | None = None,
    anatomy_mm: float = 0.0,
) -> Views:
    """One view of every head.

    Randomness comes from torch's global generator. Only anatomies of their own come from seeds.

    Args:
        people: The heads; a head may stand in it several times.
        manner: How far views may differ.
        device: The device to compute on.
        people_seeds: One seed per head. Equal heads with equal seeds are one person; a head under another
            seed is another person, bent by a smooth deformation. ``None`` deforms each view anew.
        anatomy_mm: The standard deviation of that deformation; 0 is none.

    Example::

        people = read_people([Source("s1", labels=Path("labels.nii.gz"))])
        make_views(people, Manner()).images.shape  # torch.Size([1, 1, 80, 96, 80])
    """
    shades, tissues, t1 = (torch.from_numpy(a).to(device) for a in (people.shades, people.tissues, people.t1))
    n = len(people)
    at = places(poses(n, manner.pose, device))
    if anatomy_mm:
        at = at + _anatomies(n, at, anatomy_mm, people_seeds, device)
    if manner.mirrored:
        swap = torch.rand(n, 1, 1, 1, 1, device=device) < manner.mirrored
        at = torch.where(swap, at * torch.tensor([1.0, 1.0, -1.0], device=device), at)
    labelled = torch.from_numpy(people.labelled).to(device)
    painted = ~torch.from_numpy(people.imaged).to(device) | (
        labelled & (torch.rand(n, device=device) < manner.painted)
    )
    raw = _greys(shades, t1, labelled, painted)
    target = _look_up(tissues[:, None].float(), at, "nearest")[:, 0].long()
    brain = ((target > 0) & (target != UNKNOWN)).float()[:, None]
    images = acq.texture(_look_up(raw, at, "bilinear"), 0.06)
    images, swelling = acq.blobs(images, brain, manner.blobs)
    target = torch.where(swelling[:, 0], UNKNOWN, target)
    images = acq.bias_field(images, manner.bias)
    strip = labelled & (torch.rand(n, device=device) < manner.stripped)
    images = acq.stripped(images, brain, strip)
    images = acq.defaced(images, manner.defaced)
    images = acq.unsharp(images, manner.blur)
    images = acq.noise(images, manner.noise)
    images = acq.thick_slices(images, STEP_MM, manner.thickest_mm, manner.thick)
    images = acq.cropped(images, 0.15, manner.cropped)
    # A stripped volume is exactly black outside, also after noise.
    images = torch.where(strip.view(-1, 1, 1, 1, 1), images * (F.avg_pool3d(brain, 5, 1, 2) > 0), images)
    return Views(acq.stretched(images), target)


def _greys(
    shades: torch.Tensor, t1: torch.Tensor, labelled: torch.Tensor, painted: torch.Tensor
) -> torch.Tensor:
    """Greys ``(n, 1, X, Y, Z)`` on the grid of the heads: painted by labels, or curves over the T1.

    Where labels stop at the brain, the rest of a painted head is the T1 under a curve of its own.
    """
    scan = t1[:, None].float() / 255.0
    curved = random_curves(scan)
    if not painted.any():
        return curved
    greys = paint(shades, random_greys(len(shades), shades.device))
    around = (shades == 0)[:, None] & (scan > 0)
    greys = torch.where(around, curved, greys)
    return torch.where((painted & labelled).view(-1, 1, 1, 1, 1), greys, curved)


def _look_up(values: torch.Tensor, at: torch.Tensor, mode: str) -> torch.Tensor:
    return F.grid_sample(values, at, mode=mode, align_corners=False)


def _anatomies(
    n: int, at: torch.Tensor, amount_mm: float, seeds: list[int] | None, device: torch.device | None
) -> torch.Tensor:
    if seeds is None:
        return deformation(n, amount_mm, 9, at, device)
    out = []
    for i, seed in enumerate(seeds):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            out.append(deformation(1, amount_mm, 9, at[i : i + 1], device))
    return torch.cat(out)
