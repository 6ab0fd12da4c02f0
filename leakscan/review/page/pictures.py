"""Pictures as the page gets them: 16-bit grey levels with a header that says what they are.

A browser shows 8 bits, and a reader who changes the window needs more. So grey levels travel as they are,
in two bytes each, and the page makes the window.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

Level = Literal["thumb", "screen", "full"]
LEVELS: tuple[Level, ...] = get_args(Level)

SIDES: Mapping[Level, int] = {"thumb": 96, "screen": 1024, "full": 3072}
"""The longest side of a picture in pixels, by level; smaller ones stay as they are."""

_WINDOW = (0.5, 99.5)  # percentiles that the page shows at first
_RANGE = (0.005, 99.995)  # what lies beyond is a stray pixel, which would take the room of all others
_TOP = 65535

Floats = npt.NDArray[np.float32]


def pack(values: Floats, about: Mapping[str, Any]) -> bytes:
    """Grey levels as the page reads them, compressed.

    Four bytes give the length of a JSON header, which follows, filled with spaces to a multiple of four.
    Then come the grey levels: 16 bits each, little-endian, in C order.

    Args:
        values: ``(height, width)`` or ``(x, y, z)``, finite, in any range.
        about: What else the header says.

    Returns:
        A zlib stream.

    Example:
        >>> header, levels = unpack(pack(np.array([[0.0, 1.0]], np.float32), {"kind": "film"}))
        >>> header["shape"], header["kind"], levels.tolist()
        ([1, 2], 'film', [[0, 65535]])
    """
    low, high = _span(values, _RANGE)
    scale = _TOP / (high - low) if high > low else 0.0
    levels = np.clip((values - low) * scale + 0.5, 0, _TOP).astype("<u2")
    window = [float(np.clip((v - low) * scale, 0, _TOP)) for v in _span(values, _WINDOW)]
    header = {
        **about,
        "shape": list(values.shape),
        "window": [round(w, 1) for w in window],
        "low": float(low),
        "per_level": 1.0 / scale if scale else 0.0,
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    return zlib.compress(struct.pack("<I", len(text)) + text + levels.tobytes(), 1)


def unpack(packed: bytes) -> tuple[dict[str, Any], npt.NDArray[np.uint16]]:
    """What :func:`pack` made, taken apart again: the header and the grey levels."""
    raw = zlib.decompress(packed)
    (length,) = struct.unpack_from("<I", raw)
    header: dict[str, Any] = json.loads(raw[4 : 4 + length])
    return header, np.frombuffer(raw, "<u2", offset=4 + length).reshape(header["shape"])


def film_pixels(values: Floats, level: Level) -> bytes:
    """A picture at one of the page's sizes.

    Args:
        values: ``(height, width)`` in any range.
        level: How large.

    Example:
        >>> header, levels = unpack(film_pixels(np.zeros((300, 200), np.float32), "thumb"))
        >>> levels.shape, header["native"]
        ((96, 64), [300, 200])
    """
    native = list(values.shape)
    return pack(_fitted(values, SIDES[level]), {"native": native})


def volume_thumb(values: Floats, spacing_mm: tuple[float, ...]) -> bytes:
    """The middle axial plane of a volume, small."""
    x, y = spacing_mm[:2] if len(spacing_mm) >= 2 and min(spacing_mm[:2]) > 0 else (1.0, 1.0)
    plane = np.rot90(values[:, :, values.shape[2] // 2])
    tall = max(1, round(plane.shape[0] * y / min(x, y)))
    wide = max(1, round(plane.shape[1] * x / min(x, y)))
    even = cv2.resize(np.ascontiguousarray(plane, np.float32), (wide, tall), interpolation=cv2.INTER_AREA)
    return film_pixels(np.asarray(even, np.float32), "thumb")


def _fitted(values: Floats, side: int) -> Floats:
    values = np.nan_to_num(values.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)
    scale = side / max(values.shape)
    if scale >= 1:
        return values
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _span(values: Floats, percentiles: tuple[float, float]) -> tuple[float, float]:
    thin = max(1, values.size // 400_000)
    sample = values.reshape(-1)[::thin]
    low, high = (float(v) for v in np.percentile(sample, percentiles)) if sample.size else (0.0, 0.0)
    if high <= low and values.size:
        low, high = float(values.min()), float(values.max())
    return low, high
