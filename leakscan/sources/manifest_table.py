"""The table of a manifest, whose columns are found by the names that they usually have."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from leakscan.errors import SourceError
from leakscan.setting_words import NAMED_COLUMNS
from leakscan.sources.bare_lists import NamedFiles
from leakscan.sources.column_names import PATHS, PATHS_AT_LAST, SPLITS, SUBJECTS, UIDS, plain
from leakscan.sources.listed_cells import one_hot_splits, spread
from leakscan.sources.written_tables import Columns, read_table

_MAX_LISTED = 12
_TELLING_DIGITS = 5
_LONGEST_PATH = 4096
_LIKELY = {"subject_id": SUBJECTS, "split": SPLITS, **UIDS}
_WORDS = {
    "path": "paths", "subject_id": "subjects", "split": "splits", "kind": "kinds",
    "study_uid": "studies", "series_uid": "series", "sop_uid": "instances",
}  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """The table of a manifest, whose columns have the names that leakscan knows.

    Attributes:
        table: Columns of text. Beside those of the file it has ``path``, and ``subject_id``, ``split`` and
            ``kind`` where it declares them under whatever name.
        notices: What was taken for what, and which column may be misspelt, in sentences.
    """

    table: Columns
    notices: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, named: Mapping[str, str] | None = None) -> Manifest:
        r"""Reads a manifest and finds its columns: as the user names them, else by their usual names.

        Args:
            path: The file.
            named: What the manifest calls its columns, as the setting ``columns`` says.

        Raises:
            SourceError: There is no such table, it is damaged, or no column names the images.

        Example:
            >>> _ = Path("nih.csv").write_text("Image Index,Patient ID\n00000013_005.png,13\n")
            >>> manifest = Manifest.read(Path("nih.csv"))
            >>> manifest.table["subject_id"], manifest.notices[1]
            (['13'], "The column 'Patient ID' of nih.csv is taken for the subjects.")
        """
        written = read_table(path)
        found = dict(written.columns)
        original = list(found)
        notices = list(written.notices)
        for ours, theirs in (named or {}).items():
            known = column_named(found, theirs)
            if known is not None:
                found[ours] = found[known]
            elif column_named(found, ours) is not None:
                # Of several manifests, each has columns of its own.
                notices.append(f"{path.name} has no column {theirs!r}; its own column {ours} is taken.")
            else:
                raise SourceError(
                    f"The manifest {{path}} has no column {theirs!r}, which was named as {ours}.",
                    f"It has {listed(original)}.",
                    code="no_named_column",
                    path=path,
                )
        if "path" not in found:
            column = path_column(found, path)
            _check_names(found[column], column, path)
            found["path"] = found[column]
            if plain(column) != "path":
                notices.append(f"The column {column!r} of {path.name} is taken for the paths.")
        for ours in NAMED_COLUMNS[1:]:
            if column_named(found, ours) is None:
                notices += _recognise(found, ours, path.name)
        return cls(spread(found, path.parent), tuple(notices))


def _check_names(values: Sequence[str], column: str, path: Path) -> None:
    """Refuses pictures that are spelt out where their paths should stand."""
    first = next((value for value in values if value), "")
    if first.startswith("data:image/") or (len(first) > _LONGEST_PATH and "\n" not in first):
        raise SourceError(
            f"The column {column!r} of the manifest {{path}} holds pictures as text, not their paths.",
            "Save the pictures as files and name these in the table.",
            path=path,
        )


def _recognise(table: dict[str, Sequence[str]], ours: str, manifest: str) -> list[str]:
    """Takes the one column that is called as such columns often are, and says so, or what may be misspelt."""
    names = {plain(name): name for name in reversed(list(table))}
    likely = [names[name] for name in _LIKELY.get(ours, ()) if name in names]
    if len({tuple(table[name]) for name in likely}) == 1:
        table[ours] = table[likely[0]]
        return [f"The column {likely[0]!r} of {manifest} is taken for the {_WORDS[ours]}."]
    if ours == "split" and (found := one_hot_splits(table)):
        table[ours], taken = found
        one = len(taken) == 1
        which = f"column {taken[0]!r}" if one else f"columns {listed(taken)}"
        return [f"The {which} of {manifest} {'is' if one else 'are'} taken for the splits."]
    if likely:
        return [
            f"{manifest} has no column {ours}, and several that may be it: {listed(likely)}. None is taken; "
            f"name one with the setting columns ({ours}={likely[0]})."
        ]
    known = [plain(ours), *_LIKELY.get(ours, ())]
    free = [name for name in names if names[name].strip().casefold() not in NAMED_COLUMNS]
    alike = [
        name for name in free if len(name) > 2 and difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    ]
    near = [] if ours in UIDS else alike
    return [
        f"{manifest} has no column {ours}, but {names[name]!r}: if it declares {_WORDS[ours]}, rename it, or "
        f"name it with the setting columns ({ours}={names[name]})."
        for name in near[:1]
    ]


def path_column(table: Columns, path: Path) -> str:
    """The column that names the images.

    It is ``path``, in any case; else the one column that is called as such columns of public data sets are;
    else the one whose values name files.

    Args:
        table: The columns.
        path: The manifest, for the message.

    Raises:
        SourceError: There is none, or several of those names.

    Example:
        >>> path_column({"Image Index": ["00000013_005.png"], "Patient ID": ["13"]}, Path("nih.csv"))
        'Image Index'
    """
    if "path" in table:
        return "path"
    named = {plain(name): name for name in reversed(list(table))}
    if "path" in named:
        return named["path"]
    found = [named[name] for name in PATHS if name in named]
    found = found or [named[name] for name in PATHS_AT_LAST if name in named]
    if len(found) != 1:
        listing = NamedFiles(path.parent)
        naming = [name for name in found or table if name.strip() and _name_files(name, table[name], listing)]
        found = naming or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(
            f"The manifest {{path}} has no column 'path'; it has {listed(list(table))}.",
            "Rename the column that names the files to path, or name it with the setting columns.",
            code="no_path_column",
            path=path,
        )
    raise SourceError(
        f"The manifest {{path}} has no column 'path', and several that may be it: {listed(found)}.",
        "Rename the one that names the files to path, or name it with the setting columns.",
        code="no_path_column",
        path=path,
    )


def _name_files(name: str, values: Sequence[str], listing: NamedFiles) -> bool:
    """Whether the first values of a column name files, by their endings or because they are there.

    Short numbers do so only in a column of ids: a grade of 3 is no ``3.png``.
    """
    first = [value.strip() for value in values[:_MAX_LISTED] if value.strip()]
    numbers = any(len(value) < _TELLING_DIGITS and value.isdigit() for value in first)
    if numbers and not plain(name).endswith("id"):
        return False
    return bool(first) and all(map(listing.names_image, first))


def column_named(table: Columns, name: str) -> str | None:
    """The column of a name, whatever its case and the space around it, or ``None``.

    Example:
        >>> column_named({"Split ": []}, "split")
        'Split '
    """
    if name in table:
        return name
    wanted = name.strip().casefold()
    return next((c for c in table if c.strip().casefold() == wanted), None)


def listed(values: Sequence[str]) -> str:
    """Some values for a message.

    Example:
        >>> listed(["train", "", "test"])
        'train, (empty), test'
    """
    shown = [v or "(empty)" for v in values[:_MAX_LISTED]]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} others" if more else "")


def is_a_list_of_pictures(path: Path) -> bool:
    r"""Whether a table of Parquet or Arrow holds pictures itself and names no files.

    Args:
        path: A file with the ending of a manifest.

    Example:
        >>> _ = Path("films.csv").write_text("path\na.png\n")
        >>> is_a_list_of_pictures(Path("films.csv"))
        False
    """
    if path.suffix.lower() not in (".parquet", ".pq", ".arrow", ".feather"):
        return False
    from leakscan.errors import ImageError
    from leakscan.sources.grouped_tables import open_table
    from leakscan.sources.table_images import image_columns

    try:
        fields = open_table(str(path)).schema
        texts = {plain(f.name) for f in fields if not pa.types.is_nested(f.type)}
        pictures = image_columns(str(path))
    except (OSError, pa.ArrowException, ImageError):
        return False
    return bool(pictures) and "path" not in texts
