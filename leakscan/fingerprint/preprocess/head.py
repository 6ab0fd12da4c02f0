"""Does a volume have the size and the build of a head? Asked before any network sees it.

Measured on blocks of 10 mm of the canonical array, on 92 scans of heads and brains of five datasets: whole,
stripped and defaced, T1, T2 and FLAIR.

===========================================  ==============  =====================
share                                        heads, brains   refused
===========================================  ==============  =====================
litres of the largest piece, holes filled    1.15 to 5.1     below 0.3
its shortest extent                          120 mm and more below 60 mm
of the corners of the array that show it     up to 0.17      above 0.6
===========================================  ==============  =====================

A newborn's brain has 0.35 litres. What passes is not yet a head: the encoder's gate decides.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BLOCK = 4  # voxels of the canonical array
_LITRES = _BLOCK**3 * 2.5**3 * 1e-6  # of a block
_SHOWN = 0.12  # grey level, 0..1, from which a block shows something
_LEAST_LITRES = 0.3
_LEAST_BLOCKS = 6
_MOST_CORNER = 0.6
_CORNER = 1.25  # radius of the egg outside which the corners lie
_EGG = (8.0, 10.0, 8.0)  # half axes in blocks


def may_be_a_head(canonical: npt.NDArray[np.uint8]) -> bool:
    """Whether a volume is as large as a brain, in one piece, and has air in its corners.

    Args:
        canonical: The canonical volume ``SHAPE``.

    Example:
        >>> volume = np.zeros((80, 96, 80), np.uint8)
        >>> volume[20:60, 20:76, 20:60] = 200  # 100 x 140 x 100 mm
        >>> may_be_a_head(volume), may_be_a_head(volume // 255), may_be_a_head(volume * 0 + 200)
        (True, False, False)
    """
    from scipy import ndimage  # films do not wait for it

    x, y, z = (side // _BLOCK for side in canonical.shape)
    blocks = canonical.reshape(x, _BLOCK, y, _BLOCK, z, _BLOCK).mean(axis=(1, 3, 5), dtype=np.float32)
    shown = blocks > 255 * _SHOWN
    pieces, _ = ndimage.label(shown)
    sizes = np.bincount(pieces.ravel())[1:]
    if not len(sizes):
        return False
    largest = ndimage.binary_fill_holes(pieces == int(sizes.argmax()) + 1)
    extents = [np.ptp(places) + 1 for places in np.nonzero(largest)]
    if largest.sum() * _LITRES < _LEAST_LITRES or min(extents) < _LEAST_BLOCKS:
        return False
    axes = [(np.arange(k) - (k - 1) / 2) / half for k, half in zip((x, y, z), _EGG, strict=True)]
    far = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")) > _CORNER**2
    return bool(shown[far].mean() <= _MOST_CORNER)
