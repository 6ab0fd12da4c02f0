"""Tables that lie in JSON or YAML, in any of the forms that programs write them in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from leakscan.errors import SourceError
from leakscan.sources.column_names import PATHS, SPLIT_WORDS, may_name_files, plain

Table = tuple[list[str], list[list[str]]]
"""The names of the columns, and the rows."""


def table_in(value: Any, is_file: Callable[[str], bool]) -> Table | None:
    """The one table that a nested value holds, ``None`` where it holds none or several.

    It may be a list of objects, of paths or of rows; an object of columns, of rows, or of what is known of
    each file; one with ``columns`` and ``data``, as pandas writes; one with a list for each split, as the
    Medical Segmentation Decathlon has; or one of these inside an object, as in COCO.

    Args:
        value: What was read from JSON or YAML.
        is_file: Whether a text names an image.

    Example:
        >>> coco = {"info": {}, "images": [{"id": 1, "file_name": "a.png"}], "annotations": []}
        >>> table_in(coco, lambda _: False)
        (['id', 'file_name'], [['1', 'a.png']])
        >>> table_in({"training": ["a.nii"], "test": ["b.nii"]}, lambda _: False)
        (['path', 'split'], [['a.nii', 'training'], ['b.nii', 'test']])
        >>> table_in({"path": {"0": "a.png"}, "subject_id": {"0": 7}}, lambda _: False)
        (['path', 'subject_id'], [['a.png', '7']])
    """
    if isinstance(value, list):
        return _of_list(value, is_file)
    if not isinstance(value, dict) or not value:
        return None
    splits = {k: v for k, v in value.items() if plain(str(k)) in SPLIT_WORDS and isinstance(v, list) and v}
    if splits:
        return _of_splits(splits, is_file)
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return _of_rows([list(map(text_of, value["columns"])), *value["data"]])
    return _of_columns(value) or _of_objects(value, is_file) or _of_one(value, is_file)


def text_of(value: Any) -> str:
    """A cell as CSV would have it: whole numbers without a point, because nulls turn them to floats.

    What is nested stays JSON, but for what names a file.

    Example:
        >>> text_of(13.0), text_of(None), text_of({"path": "a.png", "bytes": None}), text_of(["a", "b"])
        ('13', '', 'a.png', '["a", "b"]')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        return str(value["path"])
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def json_in(text: str) -> Any:
    """What JSON says, as a whole or an object a line; ``None`` where it is none.

    Example:
        >>> json_in('{"path": "a.png"} ') == {"path": "a.png"}, json_in("a.png") is None
        (True, True)
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()] or None
    except (ValueError, RecursionError):
        return None


def yaml_in(text: str, path: Path) -> Any:
    """What YAML says, all values as texts.

    Args:
        text: The YAML.
        path: Its file, for messages.

    Raises:
        SourceError: It is damaged, or the package that reads it is missing.

    Example:
        >>> yaml_in("- {path: a.png, subject_id: 007}", Path("films.yaml"))
        [{'path': 'a.png', 'subject_id': '007'}]
    """
    try:
        import yaml
    except ImportError as error:
        raise SourceError(
            "The manifest {path} is YAML, which needs the package PyYAML.",
            "pip install 'leakscan[formats]', or save it as CSV.",
            path=path,
        ) from error

    class WithoutAliases(yaml.BaseLoader):  # type: ignore[misc]
        """Every value is text, as 007 is no number; what repeats itself by name could grow without end."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader=WithoutAliases)
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError("The manifest {path} is no YAML that can be read.", path=path) from error


def _of_list(values: list[Any], is_file: Callable[[str], bool]) -> Table | None:
    if not values:
        return None
    if all(isinstance(v, dict) for v in values):
        return _of_dicts([_flat(v) for v in values])
    if all(isinstance(v, str) for v in values):
        return ["path"], [[v] for v in values]
    if all(isinstance(v, list) for v in values):
        first = [text_of(v) for v in values[0]]
        if any(map(is_file, first)) and not any(map(may_name_files, first)):
            which = [is_file(v) for v in first]
            names = ["path" if is_path else f"column {i}" for i, is_path in enumerate(which, 1)]
            return _of_rows([names, *values]) if sum(which) == 1 else None
        return _of_rows(values)
    return None


def _of_dicts(rows: Sequence[Mapping[Any, Any]]) -> Table:
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    texts = [{str(k): v for k, v in row.items()} for row in rows]
    return names, [[text_of(row.get(name)) for name in names] for row in texts]


def _of_rows(rows: Sequence[Sequence[Any]]) -> Table | None:
    """Lists, the first of which names the columns."""
    names = [text_of(v) for v in rows[0]]
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows[1:]):
        return None
    return names, [[text_of(v) for v in row] for row in rows[1:]]


def _of_splits(splits: Mapping[Any, list[Any]], is_file: Callable[[str], bool]) -> Table | None:
    rows: list[dict[str, Any]] = []
    for split, values in splits.items():
        inside = table_in(values, is_file)
        if inside is None:
            return None
        names, cells = inside
        naming = [name for name in names if may_name_files(name)]
        names = ["path" if [name] == naming else name for name in names]
        rows += [{**dict(zip(names, row, strict=True)), "split": str(split)} for row in cells]
    return _of_dicts(rows)


def _of_columns(value: Mapping[Any, Any]) -> Table | None:
    """An object of columns, each a list, or an object by the number of the row."""
    columns = list(value.values())
    names = [str(name) for name in value]
    if not any(map(may_name_files, names)):
        return None
    if all(isinstance(c, list) for c in columns) and len({len(c) for c in columns}) == 1:
        return names, [[text_of(c[i]) for c in columns] for i in range(len(columns[0]))]
    if all(isinstance(c, dict) and c for c in columns):
        keys = list(dict.fromkeys(key for c in columns for key in c))
        return names, [[text_of(c.get(key)) for c in columns] for key in keys]
    return None


def _of_objects(value: Mapping[Any, Any], is_file: Callable[[str], bool]) -> Table | None:
    """An object of rows: each has a key that names a file, or is what is known of the file it goes by."""
    rows = list(value.values())
    if all(isinstance(row, dict) for row in rows):
        if all(any(may_name_files(str(k)) for k in row) for row in rows):
            return _of_dicts([_flat(row) for row in rows])
        if all(is_file(str(key)) for key in _some(value)):
            return _of_dicts([{"path": str(key), **row} for key, row in value.items()])
    if not any(isinstance(row, dict) for row in rows) and all(is_file(str(key)) for key in _some(value)):
        return _of_dicts([{"path": str(key), "value": row} for key, row in value.items()])
    return None


def _of_one(value: Mapping[Any, Any], is_file: Callable[[str], bool]) -> Table | None:
    """One row, or an object that holds one table among other things."""
    if any(may_name_files(str(k)) and isinstance(v, str) for k, v in value.items()):
        return _of_dicts([_flat(value)])
    inside = [t for v in value.values() if _may_be_table(v, is_file) and (t := table_in(v, is_file))]
    named = [t for t in inside if any(plain(name) in PATHS for name in t[0])]
    named = named or [t for t in inside if any(map(may_name_files, t[0]))]
    if len(named) == 1:
        return named[0]
    lists = [v for v in value.values() if isinstance(v, list) and v and all(isinstance(x, dict) for x in v)]
    return _of_dicts(lists[0]) if len(lists) == 1 and not named else None


def _may_be_table(value: Any, is_file: Callable[[str], bool]) -> bool:
    """Whether a part of an object may be a table; a list of words is none."""
    words = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return isinstance(value, list | dict) and (not words or all(map(is_file, _some(value))))


def _flat(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """A row whose file is named one level further in, beside what stands there."""
    if any(may_name_files(str(name)) for name in row):
        return dict(row)
    found: dict[Any, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and any(may_name_files(str(k)) for k in value):
            found |= {k: v for k, v in value.items() if k not in row}
        else:
            found[name] = value
    return found


def _some(values: Iterable[Any]) -> list[Any]:
    return list(values)[:12]
