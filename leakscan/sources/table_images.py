"""Pictures inside tables, as Hugging Face data sets keep them: encoded files in columns of Parquet or Arrow.

A picture may stand in a column of bytes, in a structure with bytes and a path, in lists and structures of
these, or as text in base64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leakscan.errors import ImageError
from leakscan.sources.archives import Member
from leakscan.sources.cell_values import LARGE, SAMPLED, cell_cursor, first_values
from leakscan.sources.contents import STEP
from leakscan.sources.formats import recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.grouped_tables import GroupedTable, damage_is_said, open_table
from leakscan.sources.picture_cells import files_in, may_hold
from leakscan.sources.unread_columns import packed_pictures, shared_names, why_none
from leakscan.types import Status, Tags


def image_columns(place: str) -> list[str]:
    """The columns of a table that hold encoded pictures.

    A column counts if one of its first values that are not empty holds a file of a known format.

    Raises:
        ImageError: The table is damaged.

    Example:
        >>> import io
        >>> import pyarrow as pa
        >>> import pyarrow.parquet as pq
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save(film := io.BytesIO(), "PNG")
        >>> pq.write_table(pa.table({"image": [film.getvalue()], "label": [3]}), "films.parquet")
        >>> image_columns("films.parquet")
        ['image']
    """
    with damage_is_said():
        table = open_table(place)
        names = [f.name for f in table.schema if may_hold(f.type) and f.name not in shared_names(table)]
        return [name for name in names if _holds_pictures(table, name)]


def why_no_pictures(place: str) -> ImageError:
    """What the row of a table says that has no column of pictures.

    Raises:
        ImageError: The table is damaged.

    Example:
        >>> import pyarrow as pa
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"pixels": [[[0.5] * 28] * 28]}), "digits.parquet")
        >>> why_no_pictures("digits.parquet").status
        'unsupported'
        >>> pq.write_table(pa.table({"age": [31]}), "people.parquet")
        >>> why_no_pictures("people.parquet").status
        'ignored'
    """
    with damage_is_said():
        return why_none(open_table(place))


def row_members(place: str) -> Iterator[tuple[Member, Tags]]:
    """The pictures of a table, column by column, with what its other columns declare.

    Raises:
        ImageError: The table is damaged.

    Example:
        ``for member, tags in row_members("films.parquet"): ...``
    """
    with damage_is_said():
        yield from _row_members(place, open_table(place), image_columns(place))


def _row_members(place: str, table: GroupedTable, columns: list[str]) -> Iterator[tuple[Member, Tags]]:
    declared = [c for c in ("subject_id", "split", "kind") if c in table.schema.names]
    first = 0
    for group in range(table.groups):
        count = table.rows(group)
        said = {c: [v for cells in table.pieces(group, c) for v in cells.to_pylist()] for c in declared}
        tags = [_tags({c: values[row] for c, values in said.items()}) for row in range(count)]
        for column in columns:
            problem = table.too_large(group, column)
            for row in range(count):
                name, step = f"{column}/{first + row}", f"p{group}:{row}:{{}}:{column}"
                if problem:
                    yield _member(place, name, step.format(0), problem), tags[row]
                    continue
                try:
                    found = files_in(cell_cursor(place, group, column).value(row))
                except ImageError as error:
                    yield _member(place, name, step.format(0), error.sentence), tags[row]
                    continue
                for k, file in enumerate(found):
                    own = _inside(file.name) or f"{name}{f'.{k}' if len(found) > 1 else ''}"
                    bad = "" if file.is_known else "What the table holds here is damaged, or no image."
                    yield _member(place, own, step.format(k), bad), tags[row]
        first += count
    yield from ((member, Tags()) for member in _unread_members(place, table, columns))


def _unread_members(place: str, table: GroupedTable, columns: list[str]) -> Iterator[Member]:
    """What stands for the columns beside those that are read, where they hold pictures as well."""
    shared = shared_names(table)
    for name in dict.fromkeys(f.name for f in table.schema if f.name not in columns and may_hold(f.type)):
        words = "Several columns have this name, and are not read; rename them." if name in shared else ""
        if not words and (kind := packed_pictures(table, name)):
            words = f"This column holds {kind}, which are not read there; save them as files."
        if words:
            where = f"{place}{STEP}{name}{STEP}p0:0:0:{name}"
            yield Member(name=name, place=where, problem=words, status="unsupported")


def image_bytes(outer: str, step: str, size: int) -> bytes:
    """The first bytes of one picture.

    Args:
        outer: The place of the table.
        step: The row group, row, number within the row, and column, as :func:`row_members` writes them.
        size: How many bytes at most.

    Raises:
        ImageError: The row holds no picture.

    Example:
        ``image_bytes("films.parquet", "p0:3:0:image", 16)``
    """
    group, row, number, column = step[1:].split(":", 3)
    with damage_is_said():
        found = files_in(cell_cursor(outer, int(group), column).value(int(row)))
    if len(found) <= int(number):
        raise ImageError("unreadable", "The row of the table holds no picture.")
    return found[int(number)].data[:size]


def _inside(name: str) -> str:
    """A name that a table gives to a picture, without what leads out of a folder."""
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _member(place: str, name: str, step: str, problem: str = "") -> Member:
    status: Status = "unreadable" if problem else "ok"
    where = f"{place}{STEP}{name}{STEP}{step}"
    return Member(name=name, place=where, problem=problem, status=status)


def _tags(said: dict[str, Any]) -> Tags:
    """What the columns beside the pictures declare of one row."""
    words = {c: "" if value is None else str(value) for c, value in said.items()}
    return Tags(subject=words.get("subject_id", ""), split=words.get("split", ""), kind=words.get("kind", ""))


def _holds_pictures(table: GroupedTable, column: str) -> bool:
    for value in first_values(table, column, SAMPLED):
        if value is LARGE:
            return True
        if any(any(recognised(f.data[:HEAD_BYTES], f.name)) or f.packs_images for f in files_in(value)):
            return True
    # What is not read is not known; its rows will say so.
    return any(table.too_large(group, column) for group in range(table.groups))
