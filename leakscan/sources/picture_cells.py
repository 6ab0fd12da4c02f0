"""What one cell of a table holds: encoded files, as bytes, in lists and structures, or as text."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import json
import re
import tarfile
import zipfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from leakscan.errors import ImageError
from leakscan.sources.archives import packing_of
from leakscan.sources.contents import STEP
from leakscan.sources.formats import has_image_suffix, recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.inflating import Inflating
from leakscan.sources.unpacking import FAULTS, compression_of

_MAY_SPELL = re.compile(rb"[A-Za-z0-9+/\s_-]{60}|data:|[{\[]|\\x|0x")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s_-]{60}")
_DATA_URI = re.compile(r"data:[\w./+;=-]*;base64,([A-Za-z0-9+/\s_-]{60,}={0,2})")
_HEX = re.compile(r"(?:0x|\\x)?(?:89504e470d0a1a0a|ffd8ff(?:e0|e1|db|ee)|49492a00|4d4d002a)", re.IGNORECASE)
"""How PNG, JPEG and TIFF begin in hexadecimal numbers."""
_OPENING = re.compile(
    r"iVBORw0KGgo|[/_]9j[/_]4AA|SUkqA[A-D]|TU0AK|UklGR[\w+/-]{4}V0VCU|89504[eE]470[dD]0[aA]|ffd8ffe[01]"
    r"|\\x89PNG|\\xff\\xd8\\xff"
)
"""How PNG, JPEG, TIFF and WebP begin in base64 or hexadecimal numbers."""
_BASE85 = re.compile(r"iBL\{Q4GJ0x|\|JeW[E-H]|s4IA[0-2]|M,6r;%14!")
"""How PNG and JPEG begin in the two forms of base85 that Python writes."""
_PIXELS = re.compile(r"\[*\s*(?:\d{1,5}[\s,;]+){196}")
_PLAIN = str.maketrans({"-": "+", "_": "/", " ": None, "\n": None, "\r": None, "\t": None, "=": None})
_HEAD_IN_BASE64 = HEAD_BYTES // 3 * 4
_SHORTEST = 60


@dataclass(frozen=True)
class CellFile:
    """What stands in a cell, and the name that stands beside it, if there is one.

    Attributes:
        data: The bytes of the file.
        name: Its name, or empty.
    """

    data: bytes
    name: str = ""

    @property
    def is_known(self) -> bool:
        """Whether its first bytes are those of an image, or of what may hold one."""
        head = self.data[:HEAD_BYTES]
        return any(recognised(head, self.name)) or bool(packing_of(head, self.name) or unread_kind("", head))

    @property
    def packs_images(self) -> bool:
        """Whether it is compressed, or an archive, with an image in it."""
        head = self.data[:HEAD_BYTES]
        with contextlib.suppress(*FAULTS, ImageError):
            if compression := compression_of(head):
                content = Inflating(lambda: io.BytesIO(self.data), compression).read_from(0, HEAD_BYTES)
                return any(recognised(content, "")) or packing_of(content, "") == "tar"
            if packing_of(head, self.name) == "zip":
                with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
                    return any(map(has_image_suffix, archive.namelist()))
            if packing_of(head, self.name) == "tar":
                with tarfile.open(fileobj=io.BytesIO(self.data), mode="r:") as packed:
                    return any(map(has_image_suffix, packed.getnames()))
        return False


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing that could be a picture.

    Example:
        >>> is_empty({"bytes": None, "path": "a.png"}), is_empty(b"pixels")
        (True, False)
    """
    if isinstance(value, dict):
        return value.get("bytes", value) in (None, b"") or all(map(is_empty, value.values()))
    return value in (None, b"", "", [])


def files_in(value: Any) -> list[CellFile]:
    """The files in one cell, in order: whatever bytes it holds, and texts that spell images.

    Args:
        value: The cell, as Arrow gives it to Python.

    Example:
        >>> [(file.name, file.data) for file in files_in([{"bytes": b"pixels", "path": "a.png"}, b"more"])]
        [('a.png', b'pixels'), ('', b'more')]
    """
    if isinstance(value, bytes):
        spelt = _files_in_text(value.decode("ascii")) if _MAY_SPELL.match(value) and value.isascii() else []
        return spelt or ([CellFile(value)] if value else [])
    if isinstance(value, str):
        return _files_in_text(value)
    if isinstance(value, dict):
        if isinstance(value.get("bytes"), bytes | str):
            name = str(value.get("path") or "").replace(STEP, "")
            return [CellFile(file.data, name) for file in files_in(value["bytes"])]
        return [file for each in value.values() for file in files_in(each)]
    if isinstance(value, tuple):  # a key and its value
        return files_in(list(value))
    if isinstance(value, list) and value and isinstance(value[0], bytes | str | dict | list | tuple):
        return [file for each in value for file in files_in(each)]
    return []


def _files_in_text(text: str) -> list[CellFile]:
    """The files that a text spells: in base64, hexadecimal numbers, data URIs, or JSON with any of these."""
    if len(text) < _SHORTEST:
        return []
    if text.lstrip()[:1] in ("{", "[") and _OPENING.search(text):
        with contextlib.suppress(ValueError, RecursionError):
            return files_in(json.loads(text))
    if _HEX.match(text):
        with contextlib.suppress(ValueError):
            return [CellFile(bytes.fromhex(text.removeprefix("\\x").removeprefix("0x").strip()))]
    if not text.startswith("data:") and (data := _from_base64(text)):
        return [CellFile(data)]
    found = [_from_base64(uri[1]) for uri in _DATA_URI.finditer(text)] if "base64," in text else []
    return [CellFile(data) for data in found if data]


def _from_base64(text: str) -> bytes:
    """The file that a text spells in base64 of either alphabet, empty where it is of no known format."""
    if _BASE64.match(text) is None:
        return b""
    plain = text.translate(_PLAIN)
    try:
        head = plain[: min(len(plain), _HEAD_IN_BASE64) // 4 * 4]
        if not any(recognised(base64.b64decode(head), "")):
            return b""
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return b""


def pictures_in_text(text: str) -> str:
    """What pictures a cell of text holds that are not read there, empty for anything else.

    Args:
        text: The cell.

    Example:
        >>> pictures_in_text(" ".join(["17", "203"] * 200)), pictures_in_text("two films")
        ('the pixels of images as text', '')
    """
    if _PIXELS.match(text):
        return "the pixels of images as text"
    if _BASE85.match(text):
        return "images in base85"
    if _OPENING.search(text):
        return "images as text, damaged or in a form of its own"
    return ""


def may_hold(kind: pa.DataType) -> bool:
    """Whether values of a type may hold encoded pictures somewhere.

    Example:
        >>> may_hold(pa.list_(pa.binary())), may_hold(pa.int64())
        (True, False)
    """
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return may_hold(kind.value_type)
    if pa.types.is_struct(kind) or pa.types.is_union(kind):
        return any(may_hold(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_map(kind):
        return may_hold(kind.item_type)
    if is_list(kind):
        return may_hold(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return may_hold(kind.storage_type)
    known = pa.types
    return bool(
        known.is_binary(kind)
        or known.is_large_binary(kind)
        or known.is_fixed_size_binary(kind)
        or known.is_string(kind)
        or known.is_large_string(kind)
        or known.is_binary_view(kind)
        or known.is_string_view(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is that of lists, however long they may be.

    Example:
        >>> is_list(pa.large_list(pa.int8())), is_list(pa.string())
        (True, False)
    """
    known = pa.types
    views = known.is_list_view(kind) or known.is_large_list_view(kind)
    return bool(views or known.is_list(kind) or known.is_large_list(kind) or known.is_fixed_size_list(kind))
