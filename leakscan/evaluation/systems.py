"""What every system that is measured has in common, be it an encoder or a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.evaluation.labelled_images import PreparedImage

Role = Literal["encoder", "untrained", "imagenet", "phash", "maps", "silhouette", "greys"]
Vectors = npt.NDArray[np.float32]


class System(Protocol):
    """Something that turns images into vectors whose cosine similarity is a score.

    Attributes:
        name: The name in the table.
        role: What kind of system it is.
        side: The side of the canonical array that it wants, 0 for none.
    """

    name: str
    role: Role
    side: int

    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """Turns images into vectors.

        Args:
            images: The images, decoded.
            reduced: Whether the films reduced to 128 px are wanted instead.

        Returns:
            ``(n, d)`` float32 of unit length, and ``(n,)`` bool, whether the system takes each image for
            one of its kind.
        """
