"""One volume of a file with its place in the patient, by nibabel or SimpleITK."""

from __future__ import annotations

import locale
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.sources.formats.colours import grey_of_colours
from leakscan.sources.formats.kept_open import KeptOpen
from leakscan.sources.formats.raster.pixels import reasons
from leakscan.sources.formats.volumes.on_disk import check_lines, encoding_of, on_disk

Array = npt.NDArray[Any]

MOST_KEPT = 1 << 26
"""The voxels of all frames of a file that are kept, up to which it is read once and not for every frame."""
_BY_SIMPLEITK = frozenset({"nrrd", "metaimage", "gipl", "vtk"})
_NAMES = {"nrrd": "NRRD", "metaimage": "MetaImage", "minc": "MINC", "gipl": "GIPL", "vtk": "a VTK image"}
_NRRD_ENCODINGS = frozenset({"raw", "gzip", "gz", "ascii", "txt", "text", "hex"})
"""What SimpleITK decodes of NRRD's encodings."""


@dataclass(frozen=True)
class Volume:
    """One frame of a file.

    Attributes:
        stored: Its stored numbers, ``(i, j, k)``.
        affine: The map of voxel indices to RAS+ positions in mm, ``(4, 4)``.
        slope, intercept: The scale of the numbers: value = stored * slope + intercept.
    """

    stored: Array
    affine: npt.NDArray[np.float64]
    slope: float = 1.0
    intercept: float = 0.0


def volume_shape(path: Path, format: str) -> tuple[int, ...]:
    """The shape of all that a file holds, from its header; axes beyond three are frames.

    Raises:
        ImageError: ``unreadable`` if damaged, ``unsupported`` without the package or for colours.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.MGHImage(np.zeros((5, 6, 4), np.float32), np.eye(4)), "head.mgz")
        >>> volume_shape(Path("head.mgz"), "mgh")
        (5, 6, 4)
    """
    with reasons(), _own_locale(), on_disk(path, format, voxels=False) as file:
        if format in _BY_SIMPLEITK:
            reader = _reader(file, format)
            return tuple(int(n) for n in reader.GetSize())
        return tuple(int(n) for n in _loaded(file, format).shape)


def read_volume(path: Path, format: str, frame: int) -> Volume:
    """One frame of a file.

    Args:
        path: The file, or the header of a pair.
        format: Its format.
        frame: The number of the frame, the first axis beyond three running fastest.

    Raises:
        ImageError: As :func:`volume_shape`.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.MGHImage(np.ones((5, 6, 4), np.float32), np.eye(4)), "head.mgz")
        >>> read_volume(Path("head.mgz"), "mgh", 0).stored.shape
        (5, 6, 4)
    """
    with reasons(), _own_locale():
        with _WHOLE.of(path, format) as whole:
            if whole is not None:
                every = whole.stored.reshape((*whole.stored.shape[:3], -1), order="F")
                native = every.dtype.newbyteorder("=")
                return replace(whole, stored=every[..., frame].astype(native, copy=False))
        with on_disk(path, format) as file:
            return _by_simpleitk(file, format, frame)


@contextmanager
def _open_whole(place: str | os.PathLike[str], format: str) -> Iterator[Volume | None]:
    """All frames of a file; ``None`` where one alone takes less memory, and there are too many to keep."""
    with on_disk(Path(place), format) as file:
        if format not in _BY_SIMPLEITK:
            image = _loaded(file, format)
            raw, slope, intercept = _raw(image, format)
            yield Volume(raw, np.asarray(image.affine, np.float64), slope, intercept)
            return
        reader = _reader(file, format)
        voxels = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
        if reader.GetDimension() < 4 or voxels > MOST_KEPT:
            yield None
            return
        first = _by_simpleitk(file, format, 0)
        yield replace(first, stored=_pixels_of(_executed(reader), format))


_WHOLE = KeptOpen(
    _open_whole, lambda whole: whole is not None and whole.stored.ndim > 3 and whole.stored.size <= MOST_KEPT
)


def _loaded(file: Path, format: str) -> Any:
    if format == "minc":
        with file.open("rb") as stream:
            hdf5 = stream.read(4) == b"\x89HDF"
        if hdf5:
            _needed("h5py", format)
    import nibabel as nib  # half a second that a run without volumes does not wait for

    load: Any = nib.ecat.load if format == "ecat" else nib.load
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = load(file)
    if format != "ecat" and image.get_data_dtype().fields:
        raise ImageError("unsupported", "Its voxels are colours, which are not read.")
    return image


def _raw(image: Any, format: str) -> tuple[Array, float, float]:
    """Stored numbers where the format tells them from the scaled ones, else the scaled ones."""
    data = image.dataobj
    slope: Any = getattr(data, "slope", None)
    inter: Any = getattr(data, "inter", None)
    if format in ("mgh", "afni") and hasattr(data, "get_unscaled"):
        if np.size(slope) == 1 and np.size(inter) == 1:
            scale = (1.0 if slope is None else float(slope), 0.0 if inter is None else float(inter))
            return np.asarray(data.get_unscaled()), *scale
        return np.asarray(data), 1.0, 0.0
    values = np.asarray(data)
    whole = np.rint(values)
    # Scaled to and fro, whole numbers are off by rounding only.
    if (
        values.size
        and np.isfinite(values).all()
        and np.abs(values - whole).max() < 1e-3 * max(1e-9, np.ptp(values)) / 4096
    ):
        return whole.astype(np.int32 if np.abs(whole).max() < 2**31 else np.float64), 1.0, 0.0
    return values, 1.0, 0.0


def _reader(file: Path, format: str) -> Any:
    sitk = _needed("SimpleITK", format)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.LoadPrivateTagsOff()
    if format == "nrrd":
        check_lines(file)
    if format == "nrrd" and (encoding := encoding_of(file)) not in _NRRD_ENCODINGS:
        raise ImageError("unsupported", f"Its encoding ({encoding}) is not read; write it as raw or gzip.")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImageError("unreadable", "It is truncated or damaged, or its voxels are missing.") from error
    if reader.GetNumberOfComponents() not in (1, 3, 4) or _is_of_vectors(reader):
        raise ImageError("unsupported", "Its voxels are vectors, which are not read.")
    return reader


def _is_of_vectors(reader: Any) -> bool:
    """Whether several numbers a voxel are no colours: fields of displacements have fractions and signs."""
    name = _needed("SimpleITK", "nrrd").GetPixelIDValueAsString(reader.GetPixelID())
    return reader.GetNumberOfComponents() > 1 and "unsigned" not in name


def _by_simpleitk(file: Path, format: str, frame: int) -> Volume:
    reader = _reader(file, format)
    size = reader.GetSize()
    if len(size) > 3:
        index, extent = [0] * len(size), [*size[:3], *([0] * (len(size) - 3))]
        rest = frame
        for axis in range(3, len(size)):
            rest, index[axis] = divmod(rest, size[axis])
        reader.SetExtractIndex(index)
        reader.SetExtractSize(extent)
    image = _executed(reader)
    stored = _pixels_of(image, format)
    axes = image.GetDimension()
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(axes, axes)
    affine[:axes, :axes] = direction * np.array(image.GetSpacing())
    affine[:axes, 3] = image.GetOrigin()
    return Volume(stored, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)  # ITK's positions are LPS


def _executed(reader: Any) -> Any:
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise ImageError("unreadable", "It is truncated or damaged, or its voxels are missing.") from error


def _pixels_of(image: Any, format: str) -> Array:
    stored: Array = _needed("SimpleITK", format).GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        stored = grey_of_colours(stored)
    return stored.T


def _needed(package: str, format: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        name = _NAMES.get(format, format.upper())
        sentence = f"It is {name}, which needs the package {package}: pip install 'leakscan[formats]'."
        raise ImageError("unsupported", sentence, left_out=name) from error


@contextmanager
def _own_locale() -> Iterator[None]:
    """Puts the locale back: a reader of SimpleITK sets that of C for the whole process."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        if locale.setlocale(locale.LC_ALL) != before:
            locale.setlocale(locale.LC_ALL, before)
