"""Which tissue a label of an anatomical atlas stands for.

Two label sets are known: FreeSurfer's numbers, as the SynthSeg label maps use them (with numbers from
200 for what lies outside the brain), and MUSE's, as DLMUSE writes them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Atlas = Literal["freesurfer", "muse"]

TISSUES = (
    "other",
    "white_matter",
    "cortex",
    "deep_grey",
    "ventricles",
    "csf",
    "cerebellar_cortex",
    "hindbrain_white",
)
"""The tissues that the tissue network names; ``hindbrain_white`` is cerebellar white matter and brainstem."""

UNKNOWN = 255
"""Marks voxels of which the labels do not say what they are; nothing is learned from them."""

_FREESURFER: dict[int, tuple[int, ...]] = {
    1: (2, 41, 77, 78, 79, 85, 251, 252, 253, 254, 255),
    2: (3, 42),
    3: (9, 10, 11, 12, 13, 17, 18, 26, 28, 48, 49, 50, 51, 52, 53, 54, 58, 60),
    4: (4, 5, 14, 15, 31, 43, 44, 63),
    5: (24,),
    6: (8, 47, 172),
    7: (7, 16, 46),
}
_MUSE: dict[int, tuple[int, ...]] = {
    1: (69, *range(81, 96)),
    2: tuple(range(100, 208)),
    3: (23, 30, 31, 32, 36, 37, 47, 48, *range(55, 63), 75, 76),
    4: (4, 11, 49, 50, 51, 52),
    5: (1, 46),
    6: (38, 39, 71, 72, 73),
    7: (35, 40, 41),
}

# Structures that scanners show in a grey of their own, beyond the tissue they belong to.
_SHADES_FREESURFER = (
    (9, 10, 48, 49),
    (11, 26, 50, 58),
    (12, 51),
    (13, 52),
    (17, 18, 53, 54),
    (16,),
    (31, 63),
)
_SHADES_MUSE = ((59, 60), (23, 30, 36, 37), (57, 58), (55, 56), (31, 32, 47, 48), (35,), ())
SHADES = len(TISSUES) + len(_SHADES_MUSE)
"""Shades inside the brain: one for each tissue, then thalamus, caudate, putamen, pallidum,
hippocampus with amygdala, brainstem, choroid plexus. What lies outside takes the numbers above."""


def tissue_table(atlas: Atlas) -> npt.NDArray[np.uint8]:
    """``(256,)`` label -> position in :data:`TISSUES`; labels that are not brain are 0.

    Example:
        >>> hippocampus = {"freesurfer": 17, "muse": 47}
        >>> [TISSUES[tissue_table(atlas)[label]] for atlas, label in hippocampus.items()]
        ['deep_grey', 'deep_grey']
    """
    table = np.zeros(256, np.uint8)
    for tissue, labels in (_FREESURFER if atlas == "freesurfer" else _MUSE).items():
        table[list(labels)] = tissue
    return table


def shade_table(atlas: Atlas) -> npt.NDArray[np.uint8]:
    """``(256,)`` label -> shade, the number of what a scanner shows in one grey.

    Air is 0. Labels outside the brain other than air get numbers from :data:`SHADES` on, each its own.

    Example:
        >>> thalamus, hippocampus, skull = shade_table("freesurfer")[[10, 17, 206]].tolist()
        >>> thalamus, hippocampus, skull >= SHADES
        (8, 12, True)
    """
    table = tissue_table(atlas).copy()
    for i, labels in enumerate(_SHADES_FREESURFER if atlas == "freesurfer" else _SHADES_MUSE):
        table[list(labels)] = len(TISSUES) + i
    outside = np.flatnonzero((table == 0) & (np.arange(256) > 0))
    table[outside] = SHADES + outside % (256 - SHADES)
    return table
