"""Makes a brain network's average brain and its metric on tissues and edges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from leakscan.fingerprint.encoders.brain.brain_net import MAP_MM, BrainNet
from leakscan.fingerprint.encoders.brain.brain_space import align_to_average, average_brain, resample
from leakscan.fingerprint.encoders.brain.tissue_net import TISSUE_CHANNELS
from leakscan.fingerprint.preprocess.volume import STEP_MM
from leakscan.synthetic.brains.generator import Manner, make_views
from leakscan.synthetic.brains.people import People
from leakscan.synthetic.brains.space import Pose, places
from leakscan.synthetic.brains.tissue_labels import UNKNOWN
from leakscan.training.brains.config import BrainConfig
from leakscan.training.brains.metric import fit_metric, scan_directions
from leakscan.training.training_folder import save_weights
from leakscan.types import Progress, Silent

Floats = npt.NDArray[np.float32]

# Two scans of one head differ by where it lies, hardly by its size: the metric must not learn to
# overlook size and shape.
RESCANNED = Manner(
    pose=Pose(12, 12, 0.01, 0.01), bias=0.5, noise=0.1, thickest_mm=6.5, thick=0.7, blur=1.0, blobs=0.1
)
ROUGH = Manner(
    pose=Pose(16, 16, 0.015, 0.01),
    bias=0.7,
    noise=0.15,
    thickest_mm=7.5,
    thick=0.8,
    blur=1.3,
    cropped=0.15,
    blobs=0.2,
)
CLEAR = Manner(pose=Pose(4, 4, 0, 0), bias=0.2, noise=0.03, thick=0, blur=0.3, defaced=0, cropped=0, blobs=0)
"""Views that the average edges are made of."""
_CLEAR_SEED = 90
_ROUNDS = 3
_BATCH = 4
_BENT_MM = 3.0


def template_of(people: People) -> torch.Tensor:
    """The average of the label maps ``(7, x, y, z)``.

    Example::

        people = read_people(read_heads([Path("heads.csv")])["train"])
        net = BrainNet(template_of(people))
    """
    middle = places(torch.eye(4)[None, :3])
    maps = []
    for i in np.flatnonzero(people.labelled):
        labels = torch.from_numpy(people.tissues[i]).float()[None, None]
        at = F.grid_sample(labels, middle, mode="nearest", align_corners=False)[0, 0].long()
        at[at == UNKNOWN] = 0
        shares = F.one_hot(at, TISSUE_CHANNELS).movedim(-1, 0)[1:].float()
        maps.append(F.avg_pool3d(shares[None], 2)[0])
    return average_brain(torch.stack(maps), MAP_MM)


@torch.inference_mode()
def learn_edges(net: BrainNet, people: People, progress: Progress | None = None) -> None:
    """Sets the average edges of ``net``: of all heads, each brought to where the average has them.

    Args:
        net: The network, with its tissue network and template.
        people: The heads.
        progress: Receives the number of heads done.

    Example::

        net = BrainNet(template_of(people)).eval()
        learn_edges(net, people)  # net.edges is no longer zero
    """
    progress = progress or Silent()
    progress.start("Average the edges", (1 + _ROUNDS) * len(people))
    views, poses = [], []
    for images in images_of(people, CLEAR, _CLEAR_SEED):
        views.append(images.half())
        _, pose, _ = align_to_average(net.tissue_maps(images), net.template, MAP_MM)
        poses.append(pose)
        progress.advance(len(images))
    for _ in range(_ROUNDS):
        total = torch.zeros_like(net.edges)
        for i, view in enumerate(views):
            images = view.float()
            poses[i] = net.settled(images, poses[i])
            total += net.edges_of(resample(images, poses[i], STEP_MM)).sum(dim=0)
            progress.advance(len(images))
        net.edges = (total / len(people)).half().float()
    progress.finish()


@torch.inference_mode()
def aligned_views(
    net: BrainNet, people: People, manner: Manner, seed: int, anatomy: int | None = None
) -> tuple[Floats, Floats]:
    """Tissues and edges in place ``(n, d)`` of one view of every head, and their fit ``(n,)``.

    Args:
        net: The network, with its template; the metric is not used.
        people: The heads.
        manner: How far the views differ from a clean scan.
        seed: The seed of the views.
        anatomy: ``None`` for the people themselves, a number for others made of them.

    Example::

        first, _ = aligned_views(net, people, RESCANNED, seed=1)
        again, fits = aligned_views(net, people, ROUGH, seed=2)  # row i shows whom row i of first shows
    """
    maps, fits = [], []
    for images in images_of(people, manner, seed, anatomy):
        found, fit = net.aligned(images)
        maps.append(found.half())
        fits.append(fit)
    return torch.cat(maps).float().numpy(), torch.cat(fits).numpy()


def images_of(
    people: People, manner: Manner, seed: int, anatomy: int | None = None
) -> Iterator[torch.Tensor]:
    """One view of every head ``(k, 1, *SHAPE)``, a few at a time; see :func:`aligned_views`.

    Example::

        for images in images_of(people, CLEAR, seed=0):
            maps = net.tissue_maps(images)
    """
    torch.manual_seed(seed)
    for start in range(0, len(people), _BATCH):
        some = people.take(np.arange(start, min(start + _BATCH, len(people))))
        seeds = None if anatomy is None else [anatomy] * len(some)
        yield make_views(some, manner, None, seeds, 0.0 if anatomy is None else _BENT_MM).images


def learn_metric(
    net: BrainNet, people: People, config: BrainConfig, run: Path, progress: Progress | None = None
) -> None:
    """Fits the metric of ``net`` on views of people, every other one rough, and of others made of them.

    Args:
        net: The network, with its tissue network and template.
        people: The heads.
        config: How many views and anatomies are made of every head, and how the tissue metric is fitted.
        run: The folder that keeps what was seen of each view, so that a stopped run goes on.
        progress: Receives the number of views done.

    Example::

        learn_edges(net, people)
        learn_metric(net, people, BrainConfig(views=4, anatomies=2), Path("run"))
    """
    progress = progress or Silent()
    progress.start("Learn the metric", config.views * config.anatomies * len(people))
    maps, who = [], []
    for anatomy in range(config.anatomies):
        for view in range(config.views):
            made = anatomy if anatomy else None
            manner = (RESCANNED, ROUGH)[view % 2]
            seen = run / f"view-{anatomy}-{view}.npy"
            if not seen.is_file():
                found = aligned_views(net, people, manner, 100 + 50 * anatomy + view, made)[0]
                np.save(seen.with_suffix(".part.npy"), found.astype(np.float16))
                seen.with_suffix(".part.npy").replace(seen)
            maps.append(np.load(seen))
            progress.advance(len(people))
            who.append([f"{subject}#{anatomy}" for subject in people.subjects])
    known, subjects = torch.from_numpy(np.concatenate(maps).astype(np.float32)), np.concatenate(who)
    net.mean = known.mean(dim=0)
    tissues, lines = (part.numpy() for part in net.centred(known))
    net.axes = torch.from_numpy(fit_metric(tissues, subjects, config.components, config.shrinkage).axes)
    directions = torch.from_numpy(scan_directions(lines, subjects, len(net.overlook)))
    net.overlook.zero_()
    net.overlook[: len(directions)] = directions
    progress.finish()


def save_brain(net: BrainNet, path: Path, about: dict[str, object]) -> None:
    """Writes the weights of a brain network, floating-point numbers in half precision.

    Args:
        net: The network.
        path: The file to write.
        about: What the file says of itself.

    Raises:
        OutputError: The file cannot be written.

    Example::

        save_brain(net, Path("run/brain.safetensors"), BrainConfig().model_dump())
        net = brain_net(load_file("run/brain.safetensors"))
    """

    class _Half(nn.Module):
        def state_dict(self, *args: object, **kwargs: object) -> dict[str, torch.Tensor]:  # type: ignore[override]
            return {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}

    save_weights(path, _Half(), about)
