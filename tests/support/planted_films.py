"""Drawn films that leaks are planted with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from leakscan.synthetic.films import draw_film

LOSSLESS = ("exact", "png_16bit", "png_12bit", "dicom_monochrome1", "dicom_compressed", "resave_png")
"""Alterations that keep every pixel of a film of eight bits."""


def draw_films(folder: Path) -> list[Path]:
    """Ten drawn subjects as JPEG."""
    paths = []
    for i in range(10):
        path = folder / f"subject{i}.jpg"
        Image.fromarray(draw_film(np.random.default_rng([1, i]), height=192)).save(path)
        paths.append(path)
    return paths
