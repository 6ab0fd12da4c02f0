"""Folders and files that programs keep beside images, and what may lie in them all the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from leakscan.sources.formats import has_image_suffix

ZARR_ARRAY = ".zarray"
"""The file that says of a folder that it is an array of Zarr."""

_OF_TOOLS = frozenset(
    [
        ".git", ".hg", ".svn", ".bzr", ".leakscan", ".dvc", ".datalad", ".cache", ".venv", ".tox",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode", ".ipynb_checkpoints",
        ".thumbnails", ".trash", ".trashes", ".spotlight-v100", ".fseventsd", ".temporaryitems",
        ".appledouble", ".ds_store", ".snapshot", ".snapshots", "__macosx", "@eadir", "$recycle.bin",
    ]
)  # fmt: skip
"""Names in small letters: copies and caches of images, no images of the dataset."""
_PACKED_AWAY = {".git": "objects", ".hg": "store", ".bzr": "repository"}
"""Where versions of files are kept in a packed form of their own: there no image is plain."""

TOOL_SENTENCE = (
    "It lies in a folder that a program keeps, which is not read. Name that folder as a dataset of its own "
    "to read it, or leave it out by a pattern."
)


def is_of_tool(name: str) -> bool:
    """Whether a folder or file of this name belongs to a program.

    Example:
        >>> is_of_tool("@eaDir"), is_of_tool("ward")
        (True, False)
    """
    lower = name.lower()
    return lower in _OF_TOOLS or lower.startswith(".trash-")


def lies_in_tool_folder(name: str) -> bool:
    """Whether a path, with slashes, leads through a folder of a program.

    Example:
        >>> lies_in_tool_folder("a/.cache/film.png"), lies_in_tool_folder("a/.film.png")
        (True, False)
    """
    return any(map(is_of_tool, name.split("/")[:-1]))


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not walked into: it is hidden, or belongs to a program.

    Example:
        >>> is_hidden(".film.png"), is_hidden("._film.png"), is_hidden("film.png")
        (True, False, False)
    """
    # What begins with ._ holds a Mac's notes about the file of that name.
    return (name.startswith(".") and name != ZARR_ARRAY and not name.startswith("._")) or is_of_tool(name)


def may_be_image(name: str) -> bool:
    """Whether a file that is not opened may be an image: by its suffix, or as DICOM files often have none.

    Example:
        >>> may_be_image("IM_0001"), may_be_image("1.2.840.17"), may_be_image("notes.txt")
        (True, True, False)
    """
    return has_image_suffix(name) or "." not in name.strip(".") or name.rpartition(".")[2].isdigit()


def files_below(path: Path, left_out: Callable[[Path], bool]) -> Iterator[Path]:
    """A file itself, or the files below a folder in order, without following links.

    Args:
        path: The file or folder.
        left_out: Whether a path is one that the user leaves out.

    Example:
        >>> Path(".cache").mkdir()
        >>> _ = Path(".cache/film.png").write_bytes(b"pixels")
        >>> [str(file) for file in files_below(Path(".cache"), lambda _: False)]
        ['.cache/film.png']
    """
    if not path.is_dir() or path.is_symlink():
        if not left_out(path):
            yield path
        return
    for folder, inside, files in os.walk(path):
        packed = _PACKED_AWAY.get(Path(folder).name.lower())
        inside[:] = sorted(n for n in inside if n != packed)
        yield from (p for n in sorted(files) if not n.startswith("._") and not left_out(p := Path(folder, n)))
