"""The four tables, the verdicts and the store's shards: column names, types, versions. They are the contract.

Columns may be added; none is ever renamed or given another meaning. ``docs/file-formats.md``
explains every column; the golden test in ``tests/test_tables.py`` pins the schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leakscan.errors import StoreError
from leakscan.writable import written_whole

VERSION = "1"
ORIENTATIONS = 8

_BLOCK = 1 << 12
_READ_ROWS = 1 << 15
_VERSION_KEY = b"leakscan.schema_version"
_TABLE_KEY = b"leakscan.table"


def table_schema(table: str, fields: Iterable[tuple[str, pa.DataType]]) -> pa.Schema:
    """A schema that names its table and version in its metadata.

    Example:
        >>> schema = table_schema("weights", [("image_id", pa.string()), ("kilograms", pa.float32())])
        >>> name_of(schema), schema.names
        ('weights', ['image_id', 'kilograms'])
    """
    return pa.schema(
        [pa.field(name, kind) for name, kind in fields],
        metadata={_TABLE_KEY: table.encode(), _VERSION_KEY: VERSION.encode()},
    )


_IMAGE_FIELDS: list[tuple[str, pa.DataType]] = [
    ("image_id", pa.string()),
    ("dataset", pa.string()),
    ("path", pa.string()),
    ("format", pa.string()),
    ("kind", pa.string()),
    ("file_hash", pa.string()),
    ("pixel_hash", pa.string()),
    ("shape", pa.list_(pa.int32())),
    ("spacing_mm", pa.list_(pa.float32())),
    ("subject", pa.string()),
    ("study_uid_hash", pa.string()),
    ("acquired", pa.string()),
    ("status", pa.string()),
    ("error", pa.string()),
    ("frame", pa.int32()),
    ("split", pa.string()),
    ("notes", pa.list_(pa.string())),
    ("left_out", pa.string()),
    ("series_uid_hash", pa.string()),
    ("sop_uid_hash", pa.string()),
]
_FINGERPRINT_FIELDS: list[tuple[str, pa.DataType]] = [
    ("encoder", pa.string()),
    ("fingerprint", pa.list_(pa.float16())),  # as many numbers as the encoder makes
    ("phash", pa.list_(pa.uint64(), ORIENTATIONS)),
    ("quality", pa.float32()),
]

IMAGES = table_schema("images", _IMAGE_FIELDS)
FINGERPRINTS = table_schema(
    "fingerprints", [("image_id", pa.string()), ("dataset", pa.string()), *_FINGERPRINT_FIELDS]
)
STORE = table_schema(
    "store",
    [
        *((name, kind) for name, kind in _IMAGE_FIELDS if name != "dataset"),
        *_FINGERPRINT_FIELDS,
        ("signature", pa.string()),
        ("prepared_with", pa.string()),
        ("preview", pa.binary()),
        ("keypoints", pa.binary()),  # of a picture, see leakscan.fingerprint.keypoints
        ("error_path", pa.string()),  # what ``{path}`` in ``error`` stands for
        ("content", pa.string()),  # the same for files that may be copies of each other
        ("read_notes", pa.list_(pa.string())),  # those of ``notes`` that decoding made
        ("encoded_by", pa.string()),  # the encoder that was shown the image, whatever came of it
        ("gate", pa.bool_()),  # whether its gate took the image
        ("spare_fingerprint", pa.list_(pa.float16())),  # a fingerprint that this dataset does not use
        ("spare_quality", pa.float32()),
        ("details", pa.binary()),  # of a film, see leakscan.fingerprint.encoders.film.kept_details
    ],
)
PAIRS = table_schema(
    "pairs",
    [
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("dataset_a", pa.string()),
        ("dataset_b", pa.string()),
        ("path_a", pa.string()),
        ("path_b", pa.string()),
        ("subject_a", pa.string()),
        ("subject_b", pa.string()),
        ("distance", pa.float32()),
        ("score", pa.float32()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("relation", pa.string()),
        ("decision", pa.string()),
        ("correlation", pa.float32()),
        ("inliers", pa.int32()),
        ("transform", pa.string()),
        ("evidence", pa.list_(pa.string())),
        ("probability", pa.float64()),
        ("verdict", pa.string()),
        ("verdict_by", pa.string()),
        ("verdict_at", pa.timestamp("us", "UTC")),
        ("reopened", pa.string()),
    ],
)
SUBJECTS = table_schema(
    "subjects",
    [
        ("group", pa.string()),
        ("dataset", pa.string()),
        ("subject", pa.string()),
        ("image_id", pa.string()),
        ("n_images", pa.int32()),
        ("strongest_relation", pa.string()),
        ("weakest_link", pa.string()),
        ("bridges", pa.list_(pa.string())),
        ("diameter", pa.int32()),
        ("contradiction", pa.bool_()),
    ],
)

VERDICTS = table_schema(
    "verdicts",
    [
        ("id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("by", pa.string()),
        ("verdict", pa.string()),
        ("scope", pa.string()),
        ("dataset_a", pa.string()),
        ("dataset_b", pa.string()),
        ("subject_a", pa.string()),
        ("subject_b", pa.string()),
        ("key_id", pa.string()),
        ("pictures_a", pa.list_(pa.string())),
        ("pictures_b", pa.list_(pa.string())),
        ("members", pa.list_(pa.string())),
        ("relation", pa.string()),
        ("decision", pa.string()),
        ("score", pa.float64()),
        ("p_value", pa.float64()),
        ("probability", pa.float64()),
        ("evidence", pa.list_(pa.string())),
        ("note", pa.string()),
        ("reason", pa.string()),
        ("until", pa.date32()),
        ("blind", pa.bool_()),
        ("gold", pa.string()),
    ],
)


def name_of(schema: pa.Schema) -> str:
    """The name of a table, which its schema carries.

    Example:
        >>> name_of(PAIRS)
        'pairs'
    """
    metadata: dict[bytes, bytes] = schema.metadata or {}
    return metadata[_TABLE_KEY].decode()


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table from dictionaries; a missing key is a null.

    Rows that are made as they are asked for are never in memory together: a dictionary takes several times
    the room of its row.

    Example:
        >>> table = from_rows([{"image_id": "9f", "dataset": "test"}, {"image_id": "a3"}], IMAGES)
        >>> table["dataset"].to_pylist(), table.schema == IMAGES
        (['test', None], True)
    """
    parts, left = [], iter(rows)
    while block := list(islice(left, _BLOCK)):
        columns = [pa.array([row.get(f.name) for row in block], f.type) for f in schema]
        parts.append(pa.Table.from_arrays(columns, schema=schema))
    if len(parts) == 1:
        return parts[0]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def write(table: pa.Table, path: Path) -> None:
    """Writes a table whole or not at all: a file under the final name is always complete.

    Raises:
        OutputError: The disk is full or the folder cannot be written.

    Example:
        >>> write(from_rows([{"group": "g1", "subject": "P7"}], SUBJECTS), Path("subjects.parquet"))
        >>> [path.name for path in Path().iterdir()]
        ['subjects.parquet']
    """
    with written_whole(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_parquet(
    path: Path, columns: list[str] | None = None, keep: Callable[[pa.Table], pa.Table] | None = None
) -> pa.Table:
    """Reads a Parquet file, whoever replaces it meanwhile: as it was when it was opened.

    ``pyarrow.parquet.read_table`` opens a path twice, for its footer and for its content. Between the two
    another process may have put a new file in its place, which then seems damaged.

    Args:
        path: The file.
        columns: The names of the columns to read; all if ``None``.
        keep: What to keep of some rows at a time, so that a million others are never in memory.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowException: It is damaged, no Parquet file, or a column is missing.

    Example:
        >>> write(from_rows([{"group": "g1", "subject": "P7"}], SUBJECTS), Path("subjects.parquet"))
        >>> read_parquet(Path("subjects.parquet"), ["subject"]).to_pylist()
        [{'subject': 'P7'}]
    """
    with path.open("rb") as stream:
        opened = open_parquet(stream)
        if keep is None:
            return opened.read(columns=columns)
        batches = opened.iter_batches(_READ_ROWS, columns=columns)
        kept = [keep(pa.Table.from_batches([batch])) for batch in batches]
        return pa.concat_tables([opened.schema_arrow.empty_table(), *kept] if columns is None else kept)


def open_parquet(source: Any) -> pq.ParquetFile:
    """Opens a Parquet file, of which a stranger may have made the names of the columns.

    Args:
        source: A path or a stream.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowException: It is damaged, or the name of a column is no text.

    Example:
        >>> write(from_rows([{"group": "g1"}], SUBJECTS), Path("subjects.parquet"))
        >>> open_parquet("subjects.parquet").schema_arrow.names[0]
        'group'
    """
    try:
        return pq.ParquetFile(source)
    except UnicodeDecodeError as e:
        raise pa.ArrowInvalid(f"The name of a column is no text ({e}).") from e


def read(path: Path, schema: pa.Schema, keep: Callable[[pa.Table], pa.Table] | None = None) -> pa.Table:
    """Reads a table and checks that it is what it should be.

    Args:
        path: The file.
        schema: What it should be.
        keep: What to keep of some rows at a time; all if ``None``.

    Raises:
        StoreError: The file is damaged, another table, or of another schema version.

    Example:
        >>> write(from_rows([{"group": "g1", "subject": "P7"}], SUBJECTS), Path("subjects.parquet"))
        >>> read(Path("subjects.parquet"), SUBJECTS)["subject"].to_pylist()
        ['P7']
        >>> read(Path("subjects.parquet"), PAIRS)
        Traceback (most recent call last):
        leakscan.errors.StoreError: subjects.parquet is not a pairs table of schema version 1.
    """
    name = name_of(schema)
    try:
        table = read_parquet(path, keep=keep)
        table.validate(full=True)  # text that is no Unicode would fail far from here
    except (OSError, pa.ArrowException) as e:
        raise StoreError(
            f"{{path}} cannot be read as a {name} table: it is damaged, or no Parquet file.",
            # What a store lacks is read anew; a table of a run stands in no other place.
            "Delete it; it will be made again." if schema is STORE else "Make it again with its command.",
            path=path,
        ) from e
    found = table.schema.metadata or {}
    if found.get(_TABLE_KEY) != name.encode() or found.get(_VERSION_KEY) != VERSION.encode():
        raise StoreError(f"{{path}} is not a {name} table of schema version {VERSION}.", path=path)
    for missing in (f for f in schema if f.name not in table.column_names):
        table = table.append_column(missing, pa.nulls(len(table), missing.type))
    return table.select(schema.names).cast(schema)
