"""Pictures inside Parquet tables, as Hugging Face data sets keep them: encoded files in a column."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leakscan.errors import ImageError
from leakscan.sources.archives import Member
from leakscan.sources.contents import STEP, open_place, outer_file
from leakscan.sources.formats import recognised
from leakscan.sources.unpacking import stamp
from leakscan.types import Tags

_MOST_BYTES = 1 << 30
_groups: OrderedDict[str, Any] = OrderedDict()


def image_columns(place: str) -> list[str]:
    """The columns of a Parquet table that hold encoded pictures.

    A column counts if it is binary, or a structure with a binary field ``bytes``, and its first value
    that is not empty is a file of a known format.

    Raises:
        ImageError: The table is damaged.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save(film := io.BytesIO(), "PNG")
        >>> pq.write_table(pa.table({"image": [film.getvalue()], "label": [3]}), "films.parquet")
        >>> image_columns("films.parquet")
        ['image']
    """
    file = _opened(place)
    found = []
    for field in file.schema_arrow:
        if not _is_bytes(field.type) or not file.num_row_groups:
            continue
        if _too_large(file, 0, field.name):
            found.append(field.name)  # what it holds is not known, and its rows will say so
        else:
            for batch in file.iter_batches(batch_size=8, row_groups=[0], columns=[_leaf(field)]):
                values = [v for v in map(_bytes, batch.column(0)) if v]
                if values and any(recognised(values[0][:2048])):
                    found.append(field.name)
                break
    return found


def row_members(place: str) -> Iterator[tuple[Member, Tags]]:
    """The pictures of a table, row by row, with what its other columns declare.

    Raises:
        ImageError: The table is damaged.

    Example:
        ``for member, tags in row_members("films.parquet"): ...``
    """
    file, columns = _opened(place), image_columns(place)
    declared = [c for c in ("subject_id", "split", "kind") if c in file.schema_arrow.names]
    row = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        table = file.read_row_group(group, columns=declared) if declared else None
        names = {c: _names(file, group, c) for c in columns}
        for i in range(count):
            tags = _tags(table, i) if table is not None else Tags()
            for column in columns:
                name = f"{column}/{row}" if not names[column] or not names[column][i] else names[column][i]
                problem = ""
                if _too_large(file, group, column):
                    problem = "It lies in a row group of more than 1 GB; write the table with smaller ones."
                yield Member(name, f"{place}{STEP}{name}{STEP}p{group}:{i}:{column}", -1, problem), tags
            row += 1


def _tags(table: pa.Table, row: int) -> Tags:
    """What the columns beside the pictures declare of one row."""
    said = {c: "" if (v := table[c][row].as_py()) is None else str(v) for c in table.column_names}
    return Tags(subject=said.get("subject_id", ""), split=said.get("split", ""), kind=said.get("kind", ""))


def image_bytes(outer: str, step: str, size: int) -> bytes:
    """The first bytes of one picture.

    Args:
        outer: The place of the table.
        step: The row group, row and column, as :func:`row_members` writes them.
        size: How many bytes at most.

    Raises:
        ImageError: The row holds no picture.

    Example:
        ``image_bytes("films.parquet", "p0:3:image", 16)``
    """
    group, row, column = step[1:].split(":", 2)
    value = _bytes(_column(outer, int(group), column)[int(row)])
    if not value:
        raise ImageError("unreadable", "The row of the table holds no picture.")
    return value[:size]


def _opened(place: str) -> pq.ParquetFile:
    try:
        source: Any = str(outer_file(place)) if STEP not in place else open_place(place)
        return pq.ParquetFile(source)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ImageError("unreadable", "It is a Parquet table that is cut short or damaged.") from error


def _column(place: str, group: int, column: str) -> Any:
    key = f"{place}|{stamp(place)}|{group}|{column}"
    if key not in _groups:
        try:
            file = _opened(place)
            table = file.read_row_group(group, columns=[_leaf(file.schema_arrow.field(column))])
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            raise ImageError("unreadable", "Its Parquet table is cut short or damaged.") from error
        _groups.clear()
        _groups[key] = table.column(0)
    return _groups[key]


def _names(file: pq.ParquetFile, group: int, column: str) -> list[str]:
    kind = file.schema_arrow.field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
        return []
    rows = file.read_row_group(group, columns=[f"{column}.path"]).column(0).to_pylist()
    return [str((r or {}).get("path") or "").replace(STEP, "") for r in rows]


def _is_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _is_bytes(kind.field(at).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _leaf(field: pa.Field) -> str:
    return f"{field.name}.bytes" if pa.types.is_struct(field.type) else str(field.name)


def _bytes(value: Any) -> bytes:
    plain = value.as_py()
    found = plain.get("bytes") if isinstance(plain, dict) else plain
    return found or b""


def _too_large(file: pq.ParquetFile, group: int, column: str) -> bool:
    if group >= file.num_row_groups:
        return False
    chunks = file.metadata.row_group(group)
    sizes = [
        chunks.column(i).total_uncompressed_size
        for i in range(chunks.num_columns)
        if chunks.column(i).path_in_schema.split(".")[0] == column
    ]
    return bool(sum(sizes) > _MOST_BYTES)
