"""Volumes of which a part was set to zero: ``python -m leakscan.research.masked_volumes DATA``.

MRI of heads of ``mri/ixi`` and ``mri/ds000011`` are masked where they lie: to an oval of the size of a brain,
to balls and a box, to half of their slices, or by every other slice. Each is checked against the whole
volume, against that of a stranger, and against a stranger who was masked in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import numpy.typing as npt
import typer
from scipy import ndimage

from leakscan.cli.output import Output
from leakscan.decide.copies.volume_check import VolumeFeatures, check_volumes, describe_volume
from leakscan.research.command import run_command

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Places = tuple[Floats, Floats, Floats]

_BELOW_THE_TOP = 70.0  # mm from the top of the head to the middle of the brain


def masked_volumes(
    data: Annotated[Path, typer.Argument(help="Folder that holds mri/.")],
    volumes: Annotated[int, typer.Option("--volumes", help="Volumes of each set.", min=2)] = 4,
) -> None:
    """Measure which masked volumes are found, and how often strangers are called copies; print JSON lines.

    Example: python -m leakscan.research.masked_volumes DATA --volumes 4
    """
    out = Output()
    paths = chain.from_iterable(_chosen(data / "mri" / name, volumes) for name in ("ixi", "ds000011"))
    heads = [_loaded(path) for path in paths]
    whole = [describe_volume(values, spacing) for values, spacing in heads]
    for name, keeps in MASKS.items():
        kept = [_masked(values, spacing, keeps) for values, spacing in heads]
        following = [*kept[1:], kept[0]]
        found = sum(check_volumes(*pair).same_image for pair in zip(whole, kept, strict=True))
        false = sum(check_volumes(*pair).same_image for pair in zip(whole, following, strict=True))
        false += sum(check_volumes(*pair).same_image for pair in zip(kept, following, strict=True))
        line = {"kept": name, "found": found, "of": len(heads), "false": false, "strangers": 2 * len(heads)}
        out.say(json.dumps(line))


def _chosen(folder: Path, number: int) -> list[Path]:
    """Some volumes of a set, no label maps."""
    paths = [path for path in sorted(folder.rglob("*.nii.gz")) if "labels" not in path.name]
    return [paths[i] for i in np.random.default_rng(1).permutation(len(paths))[:number]]


def _loaded(path: Path) -> tuple[Floats, tuple[float, ...]]:
    image = nib.as_closest_canonical(nib.load(path))  # type: ignore[no-untyped-call]
    values = np.asarray(image.dataobj, np.float32)
    spacing = tuple(float(n) for n in image.header.get_zooms()[:3])
    return (values if values.ndim == 3 else values[..., 0]), spacing


def _masked(values: Floats, spacing: tuple[float, ...], keeps: Callable[[Places], Mask]) -> VolumeFeatures:
    kept = np.where(keeps(_places(values, spacing)), values, 0).astype(np.float32)
    return describe_volume(kept, spacing)


def _places(values: Floats, spacing: tuple[float, ...]) -> Places:
    """How far each voxel lies from the middle of the brain, in mm to the right, front and top."""
    head = ndimage.binary_opening(values > 0.1 * np.percentile(values, 99), iterations=2)
    at = np.argwhere(head)
    low, high = at.min(axis=0), at.max(axis=0)
    middle = (low + high) / 2
    middle[2] = high[2] - _BELOW_THE_TOP / spacing[2]
    x, y, z = (
        ((axis - centre) * step).astype(np.float32)
        for axis, centre, step in zip(np.indices(values.shape), middle, spacing, strict=True)
    )
    return x, y, z


def _ball(radius: float) -> Callable[[Places], Mask]:
    return lambda at: np.asarray(at[0] ** 2 + at[1] ** 2 + at[2] ** 2 < radius**2)


MASKS: dict[str, Callable[[Places], Mask]] = {
    "an oval like a brain": lambda at: np.asarray(
        (at[0] / 68) ** 2 + (at[1] / 84) ** 2 + (at[2] / 62) ** 2 < 1
    ),
    "a ball of 60 mm": _ball(60.0),
    "a ball of 45 mm": _ball(45.0),
    "a box of 90 mm": lambda at: np.asarray(np.maximum.reduce([np.abs(one) for one in at]) < 45),
    "the upper half": lambda at: np.asarray(at[2] > 0),
    "the lower half": lambda at: np.asarray(at[2] < 0),
    "the right half": lambda at: np.asarray(at[0] > 0),
    "all but the face": lambda at: ~((at[1] > 30) & (at[2] < -20)),
    "every other slice": lambda at: np.asarray(np.indices(at[0].shape)[2] % 2 == 0),
    "every fourth slice": lambda at: np.asarray(np.indices(at[0].shape)[2] % 4 == 0),
}
"""What is kept of a volume, by name."""


if __name__ == "__main__":
    run_command(masked_volumes)
