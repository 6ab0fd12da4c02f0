"""Lists without a line that names their columns, and tables whose columns stand apart by spaces."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from leakscan.errors import SourceError
from leakscan.sources.column_names import may_name_files
from leakscan.sources.formats import has_image_suffix
from leakscan.sources.listed_files import ListedFiles

_SAMPLED = 50


class NamedFiles:
    """What of a table names files of a folder.

    Args:
        folder: The folder that paths are relative to.

    Example:
        >>> Path("ward").mkdir()
        >>> Path("ward/a.png").touch()
        >>> listing = NamedFiles(Path("ward"))
        >>> listing.names_image("b.png"), listing.names_image("a"), listing.names_image("P1")
        (True, True, False)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ListedFiles(folder.absolute())

    def names_image(self, text: str) -> bool:
        """Whether a text has the ending of an image or names a file that is there."""
        plain = text.strip()
        return bool(plain) and (has_image_suffix(plain) or self._files.find(plain)[0].is_file())

    def is_path(self, text: str) -> bool:
        """Whether a text, spaces and all, is the path of something below the folder."""
        try:
            return (self._folder / text.strip()).exists()
        except (OSError, ValueError):
            return False


def spaced(lines: Sequence[str], listing: NamedFiles) -> list[list[str]] | None:
    r"""The rows of a table whose columns stand apart by spaces, ``None`` where they do not.

    Names may hold spaces: lines that are paths as a whole are no rows of several columns.

    Args:
        lines: All lines that are not empty.
        listing: What names files.

    Example:
        >>> spaced(["path   subject_id", "a.png  P1"], NamedFiles(Path()))
        [['path', 'subject_id'], ['a.png', 'P1']]
        >>> spaced(["Image Index", "a.png"], NamedFiles(Path())) is None
        True
    """
    if not lines or may_name_files(lines[0]) or all(map(listing.is_path, lines[1:_SAMPLED] or lines)):
        return None
    try:
        stripped = (line.strip().replace("\t", " ") for line in lines)
        rows = list(csv.reader(stripped, delimiter=" ", skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    width = len(rows[0])
    if width < 2 or any(len(row) != width for row in rows):
        return None
    named = any(map(may_name_files, rows[0]))
    return rows if named or any(map(listing.names_image, rows[-1])) else None


def headed(rows: list[list[str]], listing: NamedFiles, path: Path) -> tuple[list[list[str]], str]:
    """Puts a line of names before rows that have none, and says so.

    Args:
        rows: The rows, the first of which should name the columns.
        listing: What names files.
        path: The table, for messages.

    Raises:
        SourceError: Several columns name files.

    Example:
        >>> headed([["a.png", "0"], ["b.png", "1"]], NamedFiles(Path()), Path("films.txt"))[0]
        [['path', 'column 2'], ['a.png', '0'], ['b.png', '1']]
    """
    first = rows[0]
    if any(map(may_name_files, first)) or not _begins_at_once(rows, listing.names_image):
        return rows, ""
    ending = [i for i, cell in enumerate(first) if has_image_suffix(cell.strip())]
    # A label of 1 is no ``1.png`` beside a cell that names a file in full.
    naming = ending or [i for i, cell in enumerate(first) if listing.names_image(cell)]
    if len(naming) > 1:
        raise SourceError(
            "The manifest {path} has no line with the names of its columns, several of which name files.",
            "Put one before it, in which the column of images is called path.",
            path=path,
        )
    names = ["path" if i in naming else f"column {i + 1}" for i in range(len(first))]
    if len(first) == 1:
        words = f"{path.name} has no line with the names of columns: each line is taken for a path."
    else:
        words = (
            f"{path.name} has no line with the names of columns: column {naming[0] + 1} is taken for the "
            "paths, and no other is used. Put a line before it to name them, such as path,subject_id."
        )
    return [names, *rows], words


def _begins_at_once(rows: list[list[str]], names_image: Callable[[str], bool]) -> bool:
    """Whether the first row is one like the others: its cell in some column names a file as theirs do."""
    return any(
        names_image(cell) and all(len(row) > i and names_image(row[i]) for row in rows[1:5])
        for i, cell in enumerate(rows[0])
    )
