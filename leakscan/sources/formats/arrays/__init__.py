"""NumPy files, which hold images only where the user says so.

``pictures``: the last two axes are rows and columns, or the last three where the last is 3 or 4 long
(colours); every axis before them numbers pictures. ``volumes``: the last three axes are a volume.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import open_place
from leakscan.sources.formats import FrameInfo
from leakscan.sources.formats.bounds import check_frames
from leakscan.sources.formats.kept_open import KeptOpen
from leakscan.types import DecodedImage, ImageRef

_SMALLEST_SIDE = 8
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class _Layout:
    """How one array holds images."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: int

    @property
    def count(self) -> int:
        return int(np.prod(self.shape[: len(self.shape) - self.axes], dtype=object))

    @property
    def image(self) -> tuple[int, ...]:
        return self.shape[len(self.shape) - self.axes :]


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """One entry per image of all arrays of a file.

    Args:
        path: A ``.npy`` or ``.npz`` file.
        format: ``npy`` or ``npz``.
        options: ``arrays`` says what the arrays are, ``frames`` whether all of their images count.

    Raises:
        ImageError: ``ignored`` where no array can be an image, ``unsupported`` where the user has not said
            that arrays are images, ``unreadable`` if damaged.

    Example:
        >>> np.save("films.npy", np.zeros((5, 48, 40), np.uint8))
        >>> len(inspect(Path("films.npy"), "npy", DecodeOptions(arrays="pictures")))
        5
    """
    found = _layouts(path, format, options)
    count = sum(layout.count for layout in found)
    pixels = sum(int(np.prod(layout.shape, dtype=object)) for layout in found)
    check_frames(count, pixels, path, options)
    ndim = 3 if options.arrays == "volumes" else 2
    if options.frames == "first" and count > 1:
        return [FrameInfo(ndim=ndim, notes=(f"It holds {count} images; only the first is read.",))]
    return [FrameInfo(frame=i, ndim=ndim) for i in range(count)]


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Reads one image of an array.

    Args:
        ref: An image that :func:`inspect` found.
        options: The choices that it had.

    Raises:
        ImageError: What :func:`inspect` refuses, or ``unreadable`` if cut short.

    Example:
        >>> np.save("films.npy", np.arange(9600, dtype=np.uint16).reshape(5, 48, 40))
        >>> ref = ImageRef(image_id="1", path="films.npy", format="npy", files=("films.npy",), frame=2)
        >>> decode(ref, DecodeOptions(arrays="pictures")).stored[0, 0]
        np.uint16(3840)
    """
    path, left = Path(ref.files[0]), ref.frame
    for layout in _layouts(path, ref.format, options):
        if left < layout.count:
            stored = _read(path, layout, left)
            break
        left -= layout.count
    else:
        raise ImageError("unreadable", f"It has no image {ref.frame + 1} any more.")
    if stored.dtype.kind == "f":
        stored = np.nan_to_num(stored, posinf=0.0, neginf=0.0)
    if stored.dtype == np.bool_:
        stored = stored.astype(np.uint8)
    colours = options.arrays == "pictures" and stored.ndim == 3
    if colours:
        stored = stored[..., :3]
        if all(np.array_equal(stored[..., 0], stored[..., i]) for i in (1, 2)):
            stored, colours = stored[..., 0], False
    values = stored.astype(np.float32) @ _LUMA if colours else stored.astype(np.float32)
    return DecodedImage(np.ascontiguousarray(stored), np.ascontiguousarray(np.nan_to_num(values)))


def _layouts(path: Path, format: str, options: DecodeOptions) -> list[_Layout]:
    headers = [h for h in _headers(path, format) if _may_be_images(*h[1:])]
    if not headers:
        raise ImageError("ignored", "Its arrays are no images.")
    if options.arrays == "no":
        raise ImageError(
            "unsupported",
            "It is a NumPy file, whose arrays may be images; the setting arrays says what they are.",
            left_out="NumPy array",
        )
    found = []
    for name, stored, dtype in headers:
        one_channel = len(stored) > 2 and stored[-1] == 1
        shape = stored[:-1] if one_channel else stored
        colour = options.arrays == "pictures" and len(shape) > 2 and shape[-1] in (3, 4)
        axes = 3 if options.arrays == "volumes" or colour else 2
        if len(shape) < axes:
            continue
        layout = _Layout(name, shape, dtype, axes)
        if int(np.prod(layout.image, dtype=object)) > options.max_pixels * (4 if colour else 1):
            limit = f"more than the limit of {options.max_pixels}; raise max_pixels to read it."
            raise ImageError("unreadable", f"Its images have {layout.image} numbers, {limit}")
        found.append(layout)
    if not found:
        raise ImageError("unsupported", "None of its arrays has three axes.", left_out="NumPy array")
    return found


def _may_be_images(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    sides = shape[:-1] if len(shape) > 2 and shape[-1] in (1, 3, 4) else shape
    return dtype.kind in "uifb" and len(sides) >= 2 and min(sides[-2:]) >= _SMALLEST_SIDE


def _headers(path: Path, format: str) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    try:
        with open_place(path) as stream:
            if format == "npy":
                shape, _, dtype = _header(stream)
                return [("", shape, dtype)]
            found = []
            with zipfile.ZipFile(stream) as archive:
                for info in archive.infolist():
                    if info.filename.endswith(".npy"):
                        with archive.open(info) as member:
                            shape, _, dtype = _header(member)  # type: ignore[arg-type]
                        found.append((info.filename, shape, dtype))
            return found
    except ImageError:
        raise
    except Exception as error:  # headers of foreign bytes fail in more ways than can be listed
        raise ImageError("unreadable", "It is a NumPy file that is cut short or damaged.") from error


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ImageError("ignored", "It holds Python objects, not arrays of numbers.")
    return shape, fortran, dtype


@dataclass(frozen=True)
class _OpenArray:
    """One array of a file that is open, and what its header says."""

    stream: BinaryIO
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int


@contextmanager
def _open_array(place: str | os.PathLike[str], name: str) -> Iterator[_OpenArray]:
    """An array of a file: the only one of a ``.npy`` file, whose name is empty, or one of an archive."""
    with ExitStack() as closing:
        stream: Any = closing.enter_context(open_place(place))
        if name:
            stream = closing.enter_context(closing.enter_context(zipfile.ZipFile(stream)).open(name))
        shape, fortran, dtype = _header(stream)
        yield _OpenArray(stream, shape, fortran, dtype, stream.tell())


_ARRAYS = KeptOpen(_open_array, lambda array: len(array.shape) > 2)
"""A compressed array is inflated up to the image that is wanted; those behind it go on from there."""


def _read(path: Path, layout: _Layout, number: int) -> npt.NDArray[Any]:
    """One image, without reading those behind it."""
    try:
        with _ARRAYS.of(path, layout.name) as array:
            return _slice(array, layout, number)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError("unreadable", "It is a NumPy file that is cut short or damaged.") from error


def _slice(array: _OpenArray, layout: _Layout, number: int) -> npt.NDArray[Any]:
    size = int(np.prod(layout.image, dtype=object)) * array.dtype.itemsize
    native = array.dtype.newbyteorder("=")
    if array.fortran and len(array.shape) > 1:
        array.stream.seek(array.start)
        raw = array.stream.read(int(np.prod(array.shape, dtype=object)) * array.dtype.itemsize)
        whole = np.frombuffer(raw, array.dtype).reshape(array.shape, order="F").reshape((-1, *layout.image))
        picked: npt.NDArray[Any] = whole[number].astype(native)
        return picked
    array.stream.seek(array.start + number * size)
    raw = array.stream.read(size)
    if len(raw) < size:
        raise ImageError("unreadable", "It is a NumPy file that is cut short.")
    return np.frombuffer(raw, array.dtype).reshape(layout.image).astype(native)
