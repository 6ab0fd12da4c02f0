"""Tables of Parquet and Arrow as columns of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan.sources.nested_tables import text_of
from leakscan.tables import open_parquet


def read_columns(path: Path, is_parquet: bool) -> tuple[list[str], list[list[str]]]:
    """The names of the columns that hold texts and numbers, and their cells as text.

    A structure with a path counts as this path, and a list of texts as JSON.

    Args:
        path: The table.
        is_parquet: Whether it is Parquet, else Arrow.

    Raises:
        pa.ArrowException: It is damaged.

    Example:
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"path": ["a.png"], "age": [31.0]}), "films.parquet")
        >>> read_columns(Path("films.parquet"), True)
        (['path', 'age'], [['a.png'], ['31']])
    """
    if is_parquet:
        file = open_parquet(path)
        schema, read = file.schema_arrow, file.read
    else:
        whole = _arrow(path)
        schema, read = whole.schema, whole.select
    flat = [f.name for f in schema if not pa.types.is_nested(f.type) or _is_of_texts(f.type)]
    table = read(flat)
    found = {name: [text_of(v) for v in _values(table[name])] for name in flat}
    # A picture that lies in a file of its own is kept as its path, beside bytes that are null.
    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("path") >= 0:
            cells = read([f"{field.name}.path"] if is_parquet else [field.name])[field.name].to_pylist()
            found[field.name] = [text_of((cell or {}).get("path")) for cell in cells]
    return list(found), list(found.values())


def _arrow(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()


def _is_of_texts(type: pa.DataType) -> bool:
    """Whether cells are lists of texts, which may be the paths of several files."""
    lists = pa.types.is_list(type) or pa.types.is_large_list(type)
    return bool(lists) and bool(
        pa.types.is_string(type.value_type) or pa.types.is_large_string(type.value_type)
    )


def _values(cells: pa.ChunkedArray) -> list[Any]:
    """Cells as Python has them, or as text where it cannot: dates after the year 9999."""
    try:
        return list(cells.to_pylist())
    except (ValueError, OverflowError):
        return list(cells.cast(pa.string()).to_pylist())
