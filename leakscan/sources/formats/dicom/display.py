"""From stored numbers to what a viewer shows: rescale, VOI LUT or window, padding, polarity.

PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT and window), C.7.5.1.1.2 (pixel padding).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from leakscan.sources.formats.dicom.frames import FunctionalGroups
from leakscan.sources.formats.dicom.values import integer, items, number, numbers, tag_of, text

Values = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SLOPE, _INTERCEPT = tag_of("RescaleSlope"), tag_of("RescaleIntercept")
_TRANSFORMATION, _FRAME_VOI = tag_of("PixelValueTransformationSequence"), tag_of("FrameVOILUTSequence")
_MODALITY_LUT, _VOI_LUT = tag_of("ModalityLUTSequence"), tag_of("VOILUTSequence")
_DESCRIPTOR, _LUT_DATA = tag_of("LUTDescriptor"), tag_of("LUTData")
_CENTER, _WIDTH, _FUNCTION = tag_of("WindowCenter"), tag_of("WindowWidth"), tag_of("VOILUTFunction")
_PADDING, _PADDING_LIMIT = tag_of("PixelPaddingValue"), tag_of("PixelPaddingRangeLimit")

_MOST_CLIPPED = 0.99
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Table:
    """A lookup table: ``data[x - first]``, clamped at both ends."""

    first: int
    data: Values

    def __call__(self, values: Values) -> Values:
        index = np.clip(values - np.float32(self.first), 0, len(self.data) - 1).astype(np.int64)
        return np.asarray(self.data[index], dtype=np.float32)


def rescaled(
    stored: npt.NDArray[np.generic], dataset: Dataset, groups: FunctionalGroups, frame: int
) -> Values:
    """Modality LUT, or slope and intercept; a slope that is zero or no number counts as one.

    Args:
        stored: ``(rows, columns)`` stored integers, MONOCHROME1 as it is in the file.
        dataset: The file's elements.
        groups: The file's functional groups, which win over the top level.
        frame: The number of the frame, counted from 0.

    Example:
        >>> dataset = Dataset()
        >>> dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
        >>> stored = np.array([[0, 1024, 2048]], np.uint16)
        >>> rescaled(stored, dataset, FunctionalGroups(dataset), 0).tolist()
        [[-1024.0, 0.0, 1024.0]]
    """
    values = stored.astype(np.float32)
    table = _table(dataset, _MODALITY_LUT)
    if table is not None:
        return table(values)
    slope, intercept = rescale(dataset, groups, frame)
    if slope != 1:
        values *= np.float32(slope)
    if intercept != 0:
        values += np.float32(intercept)
    return values


def rescale(dataset: Dataset, groups: FunctionalGroups, frame: int) -> tuple[float, float]:
    """Slope and intercept of a frame.

    Example:
        >>> dataset = Dataset()
        >>> dataset.RescaleSlope, dataset.RescaleIntercept = "0", "-1024"  # a slope of zero counts as one
        >>> rescale(dataset, FunctionalGroups(dataset), 0)
        (1.0, -1024.0)
    """
    where = groups.group(frame, _TRANSFORMATION) or dataset
    slope, intercept = number(where, _SLOPE, 1.0), number(where, _INTERCEPT, 0.0)
    return (slope if 1e-30 < abs(slope) < 1e30 else 1.0), (intercept if abs(intercept) < 1e30 else 0.0)


def padding(stored: npt.NDArray[np.generic], dataset: Dataset, signed: bool, bits: int) -> Mask | None:
    """Where the pixels are padding, by value or by range; ``None`` if nowhere (or everywhere).

    Example:
        >>> dataset = Dataset()
        >>> dataset.add_new("PixelPaddingValue", "US", 63536)  # -2000, written as unsigned
        >>> padding(np.array([[-2000, 40]], np.int16), dataset, signed=True, bits=16).tolist()
        [[True, False]]
    """
    if not numbers(dataset, _PADDING):
        return None
    value = _as_pixel(integer(dataset, _PADDING), signed, bits)
    limit = _as_pixel(integer(dataset, _PADDING_LIMIT, integer(dataset, _PADDING)), signed, bits)
    low, high = min(value, limit), max(value, limit)
    wide = stored.astype(np.int64)
    mask: Mask = (wide >= low) & (wide <= high)
    return mask if mask.any() and not mask.all() else None


def _as_pixel(value: int, signed: bool, bits: int) -> int:
    """US and SS are often mixed up: read the number as the pixels are read."""
    if signed and value >= 1 << (bits - 1):
        return value - (1 << bits) if value < 1 << bits else value
    if not signed and value < 0:
        return value + (1 << bits)
    return value


def windowed(
    values: Values, dataset: Dataset, groups: FunctionalGroups, frame: int, mask: Mask | None
) -> tuple[Values, tuple[str, ...]]:
    """Applies the VOI LUT, or else the first window, unless that would leave nothing to see.

    Args:
        values: ``(rows, columns)`` after the modality LUT.
        dataset: The file's elements.
        groups: The file's functional groups.
        frame: The number of the frame, counted from 0.
        mask: Where the pixels are padding, which does not count as clipped.

    Returns:
        The values (0 to 1 after a window), and notes.

    Example:
        >>> dataset = Dataset()
        >>> dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = "50", "400", "LINEAR_EXACT"
        >>> hounsfield = np.array([[-1000, -50, 50, 150, 900]], np.float32)
        >>> shown, notes = windowed(hounsfield, dataset, FunctionalGroups(dataset), 0, None)
        >>> shown.tolist(), notes
        ([[0.0, 0.25, 0.5, 0.75, 1.0]], ())
    """
    seen = values if mask is None else values[~mask]
    table = _table(dataset, _VOI_LUT)
    if table is not None:
        clipped = np.mean((seen < table.first) | (seen > table.first + len(table.data) - 1))
        shown = table(values)
        if clipped <= _MOST_CLIPPED and np.ptp(shown) > 0:
            return shown, ()
        return values, ("Its VOI LUT would leave nothing to see and is not applied.",)
    where = groups.group(frame, _FRAME_VOI) or dataset
    center, width = numbers(where, _CENTER), numbers(where, _WIDTH)
    if not center or not width:
        return values, ()
    return _window(values, seen, center[0], width[0], text(where, _FUNCTION).upper())


def _window(
    values: Values, seen: Values, center: float, width: float, function: str
) -> tuple[Values, tuple[str, ...]]:
    """PS3.3 C.11.2.1.2 (linear) and C.11.2.1.3 (sigmoid, linear exact), to 0..1."""
    ignored = (
        values,
        (f"Its window ({center:g}, {width:g}) would leave nothing to see and is not applied.",),
    )
    if not 1e-30 < width < 1e30 or abs(center) > 1e30 or (function in ("", "LINEAR") and width < 1):
        return ignored
    if function == "SIGMOID":
        low, high = center - 2 * width, center + 2 * width  # there the curve is within 0.04 % of its ends
        shown = 1 / (1 + np.exp(np.clip(-4 * (values.astype(np.float64) - center) / width, -80, 80)))
    else:
        if function != "LINEAR_EXACT":
            center, width = center - 0.5, width - 1
        low, high = center - width / 2, center + width / 2
        shown = np.clip((values.astype(np.float64) - center) / max(width, 1e-9) + 0.5, 0, 1)
    if np.mean((seen <= low) | (seen > high)) > _MOST_CLIPPED:
        return ignored
    result: Values = shown.astype(np.float32)
    return (result, ()) if np.ptp(result) > 0 else ignored


def brightened(values: Values, mask: Mask | None, inverted: bool) -> Values:
    """Turns MONOCHROME1 round within its range, then makes padding as dark as the darkest pixel.

    Example:
        >>> film = np.array([[0, 10, 30]], np.float32)
        >>> brightened(film, None, inverted=True).tolist()
        [[30.0, 20.0, 0.0]]
    """
    seen = values if mask is None else values[~mask]
    low, high = np.float32(seen.min()), np.float32(seen.max())
    result = (high - values) + low if inverted else values
    if mask is not None:
        result = np.where(mask, low, result).astype(np.float32)
    return np.asarray(result, dtype=np.float32)


def luminance(colours: npt.NDArray[np.generic]) -> Values:
    """``(rows, columns, 3)`` RGB to ``(rows, columns)`` by the weights of ITU-R BT.601.

    Example:
        >>> luminance(np.array([[[255, 255, 255], [0, 255, 0]]], np.uint8)).round().tolist()
        [[255.0, 150.0]]
    """
    return np.asarray(colours.astype(np.float32) @ np.array(_LUMA, dtype=np.float32), dtype=np.float32)


def _table(dataset: Dataset, sequence: int) -> Table | None:
    """The first table of a LUT sequence, or ``None`` if there is none that makes sense."""
    for item in items(dataset, sequence)[:1]:
        descriptor = numbers(item, _DESCRIPTOR)
        if len(descriptor) != 3:
            return None
        entries, bits = int(descriptor[0]) % 65536 or 65536, int(descriptor[2])
        first = int(descriptor[1])
        raw = item.get_item(_LUT_DATA)
        value = raw.value if raw is not None else None
        if isinstance(value, bytes):
            order = "<" if getattr(raw, "is_little_endian", True) else ">"
            kind = "u1" if bits <= 8 and len(value) < 2 * entries else order + "u2"
            data = np.frombuffer(value[: len(value) // 2 * 2], dtype=kind).astype(np.float32)
        else:
            data = np.array(numbers(item, _LUT_DATA), dtype=np.float32)
        data = data[:entries]
        return Table(first, data) if len(data) > 1 else None
    return None
