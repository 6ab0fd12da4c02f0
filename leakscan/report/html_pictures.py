"""The small pictures of the page, as data URIs that together stay below a number of bytes."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from leakscan.decide.copies.describing import Pixels, load_pixels
from leakscan.errors import ImageError, LeakscanError
from leakscan.fingerprint.burnt_in import covered
from leakscan.fingerprint.pipeline import Dataset
from leakscan.settings import DecodeOptions
from leakscan.types import Engine

ImageKey = tuple[str, str]
"""A dataset and an image id."""

_SIDE = 320  # pixels of the longest side, where there is room
_LEAST_SIDE = 64
_QUALITIES = (80, 65, 50)
_BYTES = 5 << 20  # of all pictures together; base64 makes a third more of it
_MOST_BYTES = 24 << 10  # of one picture
_SECONDS = 90.0  # after which no further picture is read


@dataclass(frozen=True)
class Thumbnails:
    """What makes the small pictures of a run.

    Attributes:
        datasets: The datasets of the run, which know where pixels are.
        options: The limits for reading them.
        engine: What reads several at once.
        masked: Whether text that is burnt into pictures is covered.
    """

    datasets: Sequence[Dataset]
    options: DecodeOptions
    engine: Engine
    masked: bool = True

    def of(self, wanted: Mapping[ImageKey, str]) -> dict[ImageKey, str]:
        """The pictures as data URIs, without those whose pixels are not at hand.

        The more there are, the smaller they become, so that the page stays small.

        Args:
            wanted: What tells the pixels of each image apart, such as their hash, by image; those first that
                must not be missing if time runs out. Of equal ones only one is read.

        Example::

            Thumbnails(datasets, settings.reading, context.engine).of({("ward", image_id): pixel_hash})
        """
        at_hand = self.places(wanted)
        if not at_hand:
            return {}
        pixels = {wanted[key]: place for key, place in reversed(at_hand.items())}
        pixels = {name: pixels[name] for name in dict.fromkeys(wanted[key] for key in at_hand)}
        found = self._made(pixels, min(_MOST_BYTES, _BYTES // len(at_hand)))
        return {key: found[wanted[key]] for key in at_hand if wanted[key] in found}

    def _made(self, pixels: Mapping[str, Pixels], room: int) -> dict[str, str]:
        """Data URIs of at most so many bytes each, as many as there is time for."""
        make = partial(_thumbnail, options=self.options, room=room, masked=self.masked)
        found: dict[str, str] = {}
        until = time.monotonic() + _SECONDS
        # A worker that dies here must not cost the run its tables: the page says how many have no picture.
        with suppress(LeakscanError):
            for key, uri in zip(pixels, self.engine.map(make, pixels.values()), strict=False):
                if uri is not None:
                    found[key] = uri
                if time.monotonic() > until:
                    break
        return found

    def places(self, wanted: Iterable[ImageKey]) -> dict[ImageKey, Pixels]:
        """Where the pixels of images are: files, or the previews of a store.

        Args:
            wanted: The images; those without pixels are left out.
        """
        refs = {dataset.name: dataset.refs for dataset in self.datasets}
        found: dict[ImageKey, Pixels | None] = {(d, i): refs.get(d, {}).get(i) for d, i in wanted}
        missing = {key for key, pixels in found.items() if pixels is None}
        for dataset in self.datasets:
            if any(name == dataset.name for name, _ in missing):
                found |= _previews(dataset, {image for name, image in missing if name == dataset.name})
        return {key: pixels for key, pixels in found.items() if pixels}


def thumbnails_of(
    pixels: Mapping[ImageKey, Pixels], options: DecodeOptions, masked: bool = True
) -> dict[ImageKey, str]:
    """Small pictures of a few images as data URIs, made here and now.

    Args:
        pixels: Where the pixels are.
        options: The limits for reading them.
        masked: Whether text that is burnt into pictures is covered.

    Example:
        >>> thumbnails_of({}, DecodeOptions())
        {}
    """
    made = {key: _thumbnail(place, options, _MOST_BYTES, masked) for key, place in pixels.items()}
    return {key: uri for key, uri in made.items() if uri is not None}


def _previews(dataset: Dataset, wanted: set[str]) -> Mapping[ImageKey, bytes | None]:
    own = dataset.rows.select(["image_id", "preview"])
    found = own.filter(pc.is_in(own["image_id"], pa.array(sorted(wanted), pa.string())))
    return {(dataset.name, row["image_id"]): row["preview"] for row in found.to_pylist()}


def _thumbnail(pixels: Pixels, options: DecodeOptions, room: int, masked: bool) -> str | None:
    """A small picture as a data URI of at most ``room`` bytes before base64; ``None`` without pixels."""
    try:
        decoded = load_pixels(pixels, options)
        values = covered(decoded.values) if masked and decoded.values.ndim == 2 else decoded.values
        picture = _flat(values, decoded.spacing_mm)
    except (ImageError, OSError, ValueError):
        return None
    side = _SIDE
    while True:
        grey = _small(picture, side)
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            Image.fromarray(grey).save(buffer, "WEBP", quality=quality, method=2)
            if buffer.tell() <= room:
                break
        if buffer.tell() <= room or side <= _LEAST_SIDE:
            return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
        side = max(_LEAST_SIDE, round(side * 0.8))


def _small(picture: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.uint8]:
    """The picture with a longest side of so many pixels, its grey levels stretched to 0..255."""
    scale = side / max(picture.shape)
    size = tuple(max(1, round(n * scale)) for n in picture.shape[::-1])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    low, high = np.percentile(small, (0.5, 99.5))
    grey = np.clip((small - low) / max(float(high - low), 1e-12) * 255, 0, 255)
    return np.asarray(grey, np.uint8)


def _flat(values: npt.NDArray[np.float32], spacing_mm: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """A picture as it is; of a volume the middle axial and sagittal slices, in proportion."""
    if values.ndim == 2:
        return values
    while values.ndim > 3:
        values = values[..., 0]
    steps = spacing_mm[:3] if len(spacing_mm) >= 3 and min(spacing_mm[:3]) > 0 else (1.0, 1.0, 1.0)
    least = min(steps)
    x, _, z = (n // 2 for n in values.shape)
    planes = []
    for plane, (across, down) in ((values[:, :, z], (0, 1)), (values[x], (1, 2))):
        turned = np.ascontiguousarray(np.rot90(plane), np.float32)
        size = (round(turned.shape[1] * steps[across] / least), round(turned.shape[0] * steps[down] / least))
        scale = min(1.0, 2 * _SIDE / max(size))
        size = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        planes.append(cv2.resize(turned, size, interpolation=cv2.INTER_AREA))
    height = max(len(plane) for plane in planes)
    padded = [np.pad(plane, ((0, height - len(plane)), (0, 0))) for plane in planes]
    return np.asarray(np.concatenate(padded, axis=1), np.float32)
