"""What images are brought to before they are packed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.preprocess import radiograph, volume
from leakscan.types import DecodedImage

_WHOLE_RANGE = (0.0, 100.0)  # percentiles: arXiv 2512.16685 stretches volumes from minimum to maximum


@dataclass(frozen=True)
class Form:
    """Canonical films of one size, or canonical volumes of one grid.

    Attributes:
        shape: ``(side, side)`` pixels or ``(x, y, z)`` voxels.
        step_mm: The edge of a voxel; 0 for films.

    Example:
        >>> Form((128, 128)).words, Form((120, 120, 78), step_mm=2.0).words
        ('pictures', 'volumes')
    """

    shape: tuple[int, ...]
    step_mm: float = 0.0

    @property
    def version(self) -> str:
        """Names everything that decides a packed image."""
        size = "x".join(map(str, self.shape))
        return f"{volume.VERSION}|{size}|{self.step_mm:g}" if self.step_mm else f"{radiograph.VERSION}|{size}"

    @property
    def words(self) -> str:
        """What the network sees."""
        return "volumes" if self.step_mm else "pictures"

    def of(self, image: DecodedImage) -> npt.NDArray[np.uint8]:
        """The canonical array of an image of the right dimension."""
        if self.step_mm:
            x, y, z = self.shape
            array = volume.canonical_volume(
                image.values, image.spacing_mm, (x, y, z), self.step_mm, _WHOLE_RANGE
            )
        else:
            array = radiograph.canonical_radiograph(image.values, self.shape[0])
        return np.rint(array * 255).astype(np.uint8)
