"""What every system that is measured has in common, be it an encoder or a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.evaluation.labelled_images import Look

Role = Literal["encoder", "untrained", "imagenet", "phash", "maps", "silhouette", "greys"]
Vectors = npt.NDArray[np.float32]


class System(Protocol):
    """Something that turns looks at images into vectors whose cosine similarity is a score.

    ``name`` stands in the table. ``side`` is that of the canonical array it wants, 0 for none.
    ``vectors`` gives ``(n, d)`` float32 of unit length for the looks, of the films reduced to 128 px if
    asked, and ``(n,)`` bool, whether the system takes the image for one of its kind.
    """

    name: str
    role: Role
    side: int

    def vectors(self, looks: Sequence[Look], reduced: bool) -> tuple[Vectors, npt.NDArray[np.bool_]]: ...
