"""The people that a generator draws from: label maps, T1 volumes, or both, on one grid in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from leakscan.fingerprint.preprocess.volume import head_centre
from leakscan.synthetic.brains.tissue_labels import UNKNOWN, Atlas, shade_table, tissue_table
from leakscan.types import Progress, Silent

GRID = (112, 128, 112)
GRID_MM = 2.0
_RIM = 4  # voxels around a labelled brain of which a brain atlas does not say what they are

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """Files of one person; at least one of ``labels`` and ``t1``.

    Attributes:
        subject: The name of the person.
        labels: The label map, on the grid of ``t1`` where both are given.
        atlas: The atlas whose numbers the label map uses.
        t1: The T1-weighted volume.
    """

    subject: str
    labels: Path | None = None
    atlas: Atlas = "freesurfer"
    t1: Path | None = None


@dataclass(frozen=True, kw_only=True)
class People:
    """``n`` heads on a grid of ``GRID`` voxels of 2 mm, RAS+, the head in the middle.

    Attributes:
        subjects: ``(n,)`` the names of the people.
        shades: ``(n, x, y, z)`` uint8, see :func:`~.tissue_labels.shade_table`; all 0 without a label map.
        tissues: ``(n, x, y, z)`` uint8, positions in ``TISSUES``; ``UNKNOWN`` where nobody knows.
        t1: ``(n, x, y, z)`` uint8; all 0 without a T1.
        labelled: ``(n,)`` bool, whether there is a label map.
        imaged: ``(n,)`` bool, whether there is a T1.
    """

    subjects: npt.NDArray[np.str_]
    shades: Bytes
    tissues: Bytes
    t1: Bytes
    labelled: npt.NDArray[np.bool_]
    imaged: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.subjects)

    def take(self, which: npt.NDArray[np.int64]) -> People:
        """Some of the heads, by their positions."""
        return People(**{name: getattr(self, name)[which] for name in self.__dataclass_fields__})


def read_people(sources: Sequence[Source], progress: Progress | None = None) -> People:
    """Reads volumes and brings them to the common grid.

    Args:
        sources: The files of each head.
        progress: Receives how far the work is.

    Example::

        people = read_people([Source("anna", labels=Path("aseg.nii.gz"), t1=Path("t1.nii.gz"))])
        people.shades.shape  # (1, 112, 128, 112)
    """
    progress = progress or Silent()
    progress.start("Read heads", len(sources))
    n = len(sources)
    shades, tissues, t1 = (np.zeros((n, *GRID), np.uint8) for _ in range(3))
    labelled, imaged = np.zeros(n, bool), np.zeros(n, bool)
    for i, source in enumerate(sources):
        head = _centre(source)
        if source.t1 is not None:
            values, spacing = read_volume(source.t1)
            placed = _placed(values.astype(np.float32), spacing, head, 1)
            t1[i] = np.clip(placed * (250.0 / max(float(np.percentile(placed, 99.7)), 1e-6)), 0, 255)
            imaged[i] = True
        if source.labels is not None:
            labels, spacing = read_volume(source.labels)
            placed = _placed(labels, spacing, head, 0)
            shades[i], tissues[i] = shade_table(source.atlas)[placed], tissue_table(source.atlas)[placed]
            labelled[i] = True
            if source.atlas == "muse":  # it stops at the brain: what is around it may be fluid
                rim = ndimage.binary_dilation(placed > 0, iterations=_RIM) & (placed == 0)
                tissues[i][rim] = UNKNOWN
        else:
            tissues[i] = UNKNOWN
        progress.advance()
    progress.finish()
    return People(
        subjects=np.array([s.subject for s in sources]),
        shades=shades,
        tissues=tissues,
        t1=t1,
        labelled=labelled,
        imaged=imaged,
    )


def read_volume(path: Path) -> tuple[Bytes, tuple[float, ...]]:
    """Voxels in RAS+ order and their size in mm.

    Example:
        >>> from_right_to_left = np.arange(3, dtype=np.uint8).reshape(3, 1, 1)
        >>> nib.save(nib.Nifti1Image(from_right_to_left, np.diag([-1.0, 1, 2.5, 1])), "head.nii")
        >>> values, size_mm = read_volume(Path("head.nii"))
        >>> values.ravel().tolist(), size_mm
        ([2, 1, 0], (1.0, 1.0, 2.5))
    """
    image = nib.as_closest_canonical(nib.load(path))  # type: ignore[no-untyped-call]
    return np.asarray(image.dataobj), tuple(float(s) for s in image.header.get_zooms()[:3])


def _centre(source: Source) -> npt.NDArray[np.float64]:
    values, _ = read_volume(source.t1 or source.labels)  # type: ignore[arg-type]
    return head_centre(values.astype(np.float32) if source.t1 else (values > 0).astype(np.float32))


def _placed(
    values: npt.NDArray[np.generic], spacing: tuple[float, ...], head: npt.NDArray[np.float64], order: int
) -> npt.NDArray[Any]:
    step = GRID_MM / np.array(spacing)
    middle = (np.array(GRID) - 1) / 2
    out = ndimage.affine_transform(values, step, head - middle * step, output_shape=GRID, order=order)
    return np.asarray(out)
