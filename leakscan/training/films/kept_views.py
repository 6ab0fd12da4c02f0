"""Views of training films as the trunk of a chest encoder sees them: kept once, learned from often.

Nine tenths of the time of teaching a head goes to the trunk below it, which does not change. Here every
film is shown once as it is and up to three times altered, and the trunk's maps are written down.
Heads that stand on the maps then learn in minutes on one core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from leakscan.fingerprint.encoders.film.trunk_maps import COARSE, FINE
from leakscan.fingerprint.encoders.networks import EfficientNetLite0
from leakscan.types import Progress

_CHUNK = 512  # views in a file
_BATCH = 32

Films = npt.NDArray[np.uint8]
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Maps:
    """What a trunk makes of ``n`` films.

    Attributes:
        fine: ``(n, FINE_CHANNELS, side / 16, side / 16)`` float16.
        coarse: ``(n, COARSE_CHANNELS, side / 32, side / 32)`` float16.
        pooled: ``(n, 1280)`` float16, what the network pools.
        prints: ``(n, d)`` float16, what its head makes of that.
    """

    fine: Halves
    coarse: Halves
    pooled: Halves
    prints: Halves


class KeptViews:
    """All views that a folder keeps.

    Args:
        folder: What :func:`keep_views` wrote.

    Attributes:
        films: ``(v,)`` the film of each view.
        altered: ``(v,)`` whether it is shown otherwise than it is.
        prints: ``(v, d)`` float32 unit fingerprints by the encoder's own head.

    Example::

        views = KeptViews(Path("views"))
        fine, coarse, pooled = views.maps(np.array([0, 7]))
    """

    def __init__(self, folder: Path) -> None:
        fine, coarse, pooled, prints, films, altered = [], [], [], [], [], []
        for path in sorted(folder.glob("v?_*.npz")):
            with np.load(path) as kept:
                fine.append(kept["fine"])
                coarse.append(kept["coarse"])
                pooled.append(kept["pooled"])
                prints.append(kept["prints"].astype(np.float32))
                films.append(kept["films"])
                altered.append(np.full(len(kept["films"]), path.name[1] != "0"))
        self._fine, self._coarse, self._pooled = fine, coarse, pooled
        self.films, self.altered = np.concatenate(films), np.concatenate(altered)
        joined = np.concatenate(prints)
        self.prints = joined / np.linalg.norm(joined, axis=1, keepdims=True)
        lengths = [len(each) for each in fine]
        self._file = np.repeat(np.arange(len(fine)), lengths)
        self._row = np.concatenate([np.arange(n) for n in lengths])

    def maps(self, views: npt.NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fine maps, coarse maps and pooled features of some views, in float32."""
        fine, coarse, pooled = (
            torch.from_numpy(np.stack([kept[self._file[i]][self._row[i]] for i in views]).astype(np.float32))
            for kept in (self._fine, self._coarse, self._pooled)
        )
        return fine, coarse, pooled


def keep_views(
    films: Films,
    alter: Callable[[Films, np.random.Generator], Films],
    often: npt.NDArray[np.int64],
    net: EfficientNetLite0,
    folder: Path,
    progress: Progress,
) -> None:
    """Writes what a network makes of films, file by file; a second call goes on.

    Args:
        films: ``(n, s, s)`` packed films.
        alter: Shows films otherwise, by a generator of random numbers and the seed of torch.
        often: ``(n,)`` how many altered views are wanted of each film.
        net: The network, in evaluation mode.
        folder: Where to write.
        progress: Receives how far the work is.

    Example::

        keep_views(pack.films, alter, np.full(len(pack.films), 2), net, Path("views"), Silent())
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(often))
    progress.start("Keeping views", sum(len(rows) for _, _, rows in jobs))
    for view, start, rows in jobs:
        path = folder / f"v{view}_{start:06d}.npz"
        if not path.is_file():
            torch.manual_seed(view * 1_000_003 + start)
            shown = films[rows] if view == 0 else alter(films[rows], np.random.default_rng([view, start]))
            found = maps_of(net, shown)
            part = path.with_suffix(".part.npz")
            np.savez(
                part,
                films=rows,
                fine=found.fine,
                coarse=found.coarse,
                pooled=found.pooled,
                prints=found.prints,
            )
            part.replace(path)
        progress.advance(len(rows))


@torch.inference_mode()
def maps_of(net: EfficientNetLite0, films: Films, side: int = 224) -> Maps:
    """What a network makes of films.

    Args:
        net: The network, in evaluation mode.
        films: ``(n, s, s)`` uint8, which are brought to ``side``.
        side: Pixels along a side.

    Example:
        >>> maps = maps_of(EfficientNetLite0().eval(), np.zeros((2, 64, 64), np.uint8), side=64)
        >>> maps.fine.shape, maps.coarse.shape, maps.pooled.shape, maps.prints.shape
        ((2, 112, 4, 4), (2, 192, 2, 2), (2, 1280), (2, 128))
    """
    parts = []
    for at in range(0, len(films), _BATCH):
        x = torch.from_numpy(np.array(films[at : at + _BATCH]))[:, None].float() / 255.0
        x = torch.nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
        fine = net.trunk[: FINE + 1](x * 2.0 - 1.0)
        coarse = net.trunk[FINE + 1 : COARSE + 1](fine)
        pooled = net.pooled(net.trunk[COARSE + 1 :](coarse))
        prints = net.head(pooled if net.grid is None else net.with_places(fine, coarse, pooled))
        parts.append([each.half().numpy() for each in (fine, coarse, pooled, prints)])
    return Maps(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _jobs(often: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, npt.NDArray[np.int64]]]:
    """View, number and films of every file; films are mixed, so that the first files are of all sorts."""
    mixed = np.random.default_rng(5).permutation(len(often))
    for view in range(int(often.max(initial=0)) + 1):
        wanted = mixed if view == 0 else mixed[often[mixed] >= view]
        for start in range(0, len(wanted), _CHUNK):
            yield view, start, np.sort(wanted[start : start + _CHUNK])
