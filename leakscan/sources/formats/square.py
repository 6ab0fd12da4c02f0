"""Pictures whose pixels are no squares, as a viewer shows them: every millimetre as long as any other."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from leakscan.types import DecodedImage

_SQUARE = 1.02
"""Up to this ratio of the sides, pixels count as squares: no eye sees more, and many headers round so."""
_MOST = 8.0
"""The ratio beyond which a header is believed to be wrong, not the pixels to be so long."""


def squared(image: DecodedImage, max_pixels: int) -> DecodedImage:
    """Stretches what a viewer would show of a picture until its pixels are squares; others stay as they are.

    The longer side of the pixels is divided, so that no detail is lost, unless that would make the picture
    larger than the limit; then the shorter sides are joined.

    Args:
        image: A picture or a volume. What is stored stays as it is.
        max_pixels: The most pixels that a picture may have.

    Example:
        >>> squashed = np.zeros((30, 64), np.float32)
        >>> squared(DecodedImage(squashed, squashed, aspect=2.0), 10_000).values.shape
        (60, 64)
    """
    ratio = image.aspect if image.aspect >= 1 else 1 / max(image.aspect, 1e-9)
    if image.values.ndim != 2 or not _SQUARE < ratio <= _MOST:
        return image
    rows, columns = image.values.shape
    tall = image.aspect > 1
    if rows * columns * ratio <= max_pixels:
        size = (columns, round(rows * ratio)) if tall else (round(columns * ratio), rows)
        method = cv2.INTER_LINEAR
    else:
        size = (round(columns / ratio), rows) if tall else (columns, round(rows / ratio))
        method = cv2.INTER_AREA
    shown = cv2.resize(image.values, (max(1, size[0]), max(1, size[1])), interpolation=method)
    return replace(image, values=np.asarray(shown, np.float32), aspect=1.0)


def aspect_of(spacing_mm: tuple[float, ...]) -> float:
    """The height of a picture's pixels over their width; 1 where it is unknown.

    Args:
        spacing_mm: The mm between rows and between columns, or empty.

    Example:
        >>> aspect_of((0.5, 0.25)), aspect_of(())
        (2.0, 1.0)
    """
    if len(spacing_mm) != 2 or min(spacing_mm) <= 0:
        return 1.0
    return float(spacing_mm[0] / spacing_mm[1])
