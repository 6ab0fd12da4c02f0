"""Reading elements of a DICOM dataset that may break every rule of its value representation.

pydicom converts values strictly by VR, and warns or raises where a file does not conform. Files in
public datasets often do not (``Rows`` as a string, an empty ``RescaleSlope``, a date with dots), so
the raw bytes are taken as far as they make sense, and anything else counts as absent.
"""

from __future__ import annotations

import contextlib
import logging
import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

# pydicom reports what it finds odd in a file to its logger as well as by warnings; a run over
# thousands of files says it in the row of the file instead.
for _name in ("pydicom", "pylibjpeg", "openjpeg", "rle"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_DOUBTFUL_VR = (None, "UN", "OB", "US or SS")


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the warnings of pydicom and of the codecs from the terminal.

    Example:
        >>> with quiet():
        ...     warnings.warn("The value length (65) exceeds the maximum length of 64.")
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tag_of(keyword: str) -> int:
    """The tag of an element of the DICOM dictionary.

    Raises:
        KeyError: The dictionary has no such keyword.

    Example:
        >>> f"{tag_of('PatientID'):08x}"
        '00100020'
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def raw_bytes(dataset: Dataset, tag: int) -> bytes | None:
    """The value's bytes as they stand in the file, or ``None`` if absent or already converted.

    Example:
        >>> from pydicom.examples import ct
        >>> raw_bytes(ct, tag_of("RescaleIntercept"))
        b'-1024 '
    """
    element = dataset.get_item(tag)
    value = getattr(element, "value", None)
    return value if isinstance(value, bytes) else None


def texts(dataset: Dataset, tag: int) -> tuple[str, ...]:
    """The element's values as text, stripped; a single empty value counts as absent.

    Example:
        >>> from pydicom.examples import ct
        >>> texts(ct, tag_of("ImageType"))
        ('ORIGINAL', 'PRIMARY', 'AXIAL')
    """
    element = dataset.get_item(tag)
    if element is None or element.value is None:
        return ()
    value: Any = element.value
    if isinstance(value, bytes):
        if str(element.VR) in _NUMBERS:
            return tuple(f"{x:g}" for x in numbers(dataset, tag))
        parts = _decoded(dataset, tag, value).split("\\")
    elif isinstance(value, str):
        parts = value.split("\\")
    else:
        parts = [str(x) for x in (value if isinstance(value, (list, tuple)) else [value])]
    found = tuple(part.strip(" \0\t\r\n") for part in parts)
    return found if any(found) else ()


def text(dataset: Dataset, tag: int) -> str:
    """The element's first value as text, or empty.

    Example:
        >>> from pydicom.examples import ct
        >>> text(ct, tag_of("ImageType")), text(ct, tag_of("ViewPosition"))
        ('ORIGINAL', '')
    """
    return next(iter(texts(dataset, tag)), "")


def _decoded(dataset: Dataset, tag: int, value: bytes) -> str:
    if value.isascii():
        return value.decode("ascii")
    try:
        return str(dataset[tag].value)  # with the file's SpecificCharacterSet
    except Exception:
        return value.decode("latin-1")


def numbers(dataset: Dataset, tag: int) -> tuple[float, ...]:
    r"""The element's values as finite numbers; empty if any of them is not one.

    Example:
        >>> dataset = Dataset()
        >>> dataset.add_new("Rows", "LO", "512")  # the wrong kind of value, met in public datasets
        >>> dataset.add_new("PixelSpacing", "LO", "0.5\\unknown")
        >>> numbers(dataset, tag_of("Rows")), numbers(dataset, tag_of("PixelSpacing"))
        ((512.0,), ())
    """
    element = dataset.get_item(tag)
    if element is None or element.value is None:
        return ()
    value: Any = element.value
    if isinstance(value, bytes):
        vr = str(element.VR) if element.VR is not None else None
        if vr in _DOUBTFUL_VR:
            vr = _dictionary_vr(tag)
        order = "<" if getattr(element, "is_little_endian", True) else ">"
        return _unpacked(value, vr, order)
    try:
        found = tuple(float(x) for x in (value if isinstance(value, (list, tuple)) else [value]))
    except (TypeError, ValueError):
        try:
            found = tuple(float(x) for x in value)  # pydicom's MultiValue
        except (TypeError, ValueError):
            return ()
    return found if all(map(math.isfinite, found)) else ()


def _dictionary_vr(tag: int) -> str:
    try:
        return "US" if (vr := dictionary_VR(tag)) == "US or SS" else vr
    except KeyError:
        return "UN"


def _unpacked(value: bytes, vr: str | None, order: str) -> tuple[float, ...]:
    code = _NUMBERS.get(vr or "")
    if code is not None:
        size = struct.calcsize("<" + code)
        if not value or len(value) % size:
            return ()
        found = tuple(float(x) for x in struct.unpack(f"{order}{len(value) // size}{code}", value))
    else:
        try:
            parts = value.decode("ascii").strip(" \0").split("\\")
            found = tuple(float(part.strip(" \0")) for part in parts)
        except ValueError:
            return ()
    return found if all(map(math.isfinite, found)) else ()


def number(dataset: Dataset, tag: int, default: float = 0.0) -> float:
    """The element's first value as a number, or ``default``.

    Example:
        >>> number(Dataset(), tag_of("RescaleSlope"), default=1.0)
        1.0
    """
    return next(iter(numbers(dataset, tag)), default)


def integer(dataset: Dataset, tag: int, default: int = 0) -> int:
    """The element's first value as an integer, or ``default``.

    Example:
        >>> dataset = Dataset()
        >>> dataset.InstanceNumber = "7"
        >>> integer(dataset, tag_of("InstanceNumber")), integer(dataset, tag_of("NumberOfFrames"), 1)
        (7, 1)
    """
    value = number(dataset, tag, float(default))
    return int(value) if abs(value) < 2**53 else default


def items(dataset: Dataset, tag: int) -> list[Dataset]:
    """The datasets of a sequence; empty if it is absent or broken.

    Example:
        >>> table, film = Dataset(), Dataset()
        >>> table.LUTDescriptor = [256, 0, 8]
        >>> film.VOILUTSequence = [table]
        >>> len(items(film, tag_of("VOILUTSequence"))), len(items(film, tag_of("ModalityLUTSequence")))
        (1, 0)
    """
    with contextlib.suppress(Exception):
        # For a sequence, pydicom also converts the PixelRepresentation beside it, and raises where that is
        # damaged. The sequence itself is kept by then, and it must be the same in a scan, which does not
        # load PixelRepresentation, as when the pixels are read.
        dataset[tag]
    value = getattr(dataset.get_item(tag), "value", None)
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, Sequence) else []


def calendar_date(value: str) -> str:
    """``YYYYMMDD...`` or the old ``YYYY.MM.DD`` as ``YYYY-MM-DD``; empty if it is no date.

    Example:
        >>> calendar_date("19970430"), calendar_date("1997.04.30"), calendar_date("19970431")
        ('1997-04-30', '1997-04-30', '')
    """
    digits = value.replace(".", "").replace("-", "")[:8]
    if not (len(digits) == 8 and digits.isascii() and digits.isdigit()):
        return ""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
    except ValueError:
        return ""
