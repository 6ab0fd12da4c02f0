"""What one cell of a table holds: encoded files, as bytes, in lists and structures, or as text."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from leakscan.sources.archives import packing_of
from leakscan.sources.contents import STEP
from leakscan.sources.formats import recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind

_BASE64 = re.compile(r"(?:data:image/[\w.+-]+;base64,)?([A-Za-z0-9+/\s]{60})")


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
        return [CellFile(value)] if value else []
    if isinstance(value, str):
        return [CellFile(data)] if (data := _from_base64(value)) else []
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


def _from_base64(text: str) -> bytes:
    """The file that a text spells in base64, empty where it spells none of a known format."""
    begins = _BASE64.match(text)
    if begins is None:
        return b""
    try:
        if not any(recognised(base64.b64decode(begins[1]), "")):
            return b""
        return base64.b64decode(text[begins.start(1) :])
    except (binascii.Error, ValueError):
        return b""


def may_hold(kind: pa.DataType) -> bool:
    """Whether values of a type may hold encoded pictures somewhere.

    Example:
        >>> may_hold(pa.list_(pa.binary())), may_hold(pa.int64())
        (True, False)
    """
    if pa.types.is_dictionary(kind):
        return may_hold(kind.value_type)
    if pa.types.is_struct(kind):
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
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
