"""Views of films as the trunk of the second look sees them, made once: the trunk learns nothing more.

The maps of one film take 46 kB, so they lie in memory-mapped files, one pair of them for each view.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.fingerprint.encoders.detail_net import SIDE, DetailNet
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.training.augment import augment
from leakscan.training.validation import to_float
from leakscan.types import Progress

_BATCH = 64
_MILD = 0.6
"""Share of a view's films that are turned and cropped hardly at all, as most films are that users compare."""

Maps = npt.NDArray[np.float16]


@dataclass(frozen=True)
class View:
    """One view of every film.

    Attributes:
        fine: ``(n, 112, 12, 12)``.
        coarse: ``(n, 192, 6, 6)``.
    """

    fine: Maps
    coarse: Maps


def make_view(
    net: DetailNet, films: npt.NDArray[np.uint8], folder: Path, number: int, seed: int, progress: Progress
) -> View:
    """Makes a view, or finds it where an earlier sitting made it.

    Args:
        net: whose trunk sees the films.
        films: ``(n, s, s)`` packed.
        folder: for the files.
        number: of the view; 0 shows the films as they are.
        seed: of what is altered.
        progress: is told of films.
    """
    paths = [folder / f"{name}-{number}.npy" for name in ("fine", "coarse")]
    if not all(path.is_file() for path in paths):
        progress.start(f"view {number}", len(films))
        parts = [path.with_name(path.name + ".part") for path in paths]
        torch.manual_seed(1000 * seed + number)
        files: list[Maps] = []
        for start in range(0, len(films), _BATCH):
            maps = _maps(net, films[start : start + _BATCH], number)
            if not files:
                files = [
                    np.lib.format.open_memmap(part, "w+", np.float16, (len(films), *m.shape[1:]))
                    for part, m in zip(parts, maps, strict=True)
                ]
            for file, values in zip(files, maps, strict=True):
                file[start : start + len(values)] = values
            progress.advance(len(maps[0]))
        for file, part, path in zip(files, parts, paths, strict=True):
            file.flush()  # type: ignore[attr-defined]
            part.replace(path)
    return View(*(np.load(path, mmap_mode="r") for path in paths))


@torch.inference_mode()
def _maps(net: DetailNet, films: npt.NDArray[np.uint8], number: int) -> list[Maps]:
    device = next(net.parameters()).device
    x = to_float(films, device)
    if number == 0:
        x = nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    else:
        x = augment(x, SIDE, mild=_MILD)
    with low_precision(device):
        maps = net.maps(x.contiguous(memory_format=torch.channels_last))
    return [m.half().cpu().numpy() for m in maps]
