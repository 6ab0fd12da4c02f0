"""Writing a file whole or not at all, and asking before hours of work whether it may be written."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from leakscan.errors import OutputError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def check_writable(path: Path) -> None:
    """Refuses a file or folder in whose place, or nearest folder that exists, nothing may be written.

    Raises:
        OutputError: Nothing may be written there, and the message names the folder; or a file stands in the
            place of a folder; or it is an address on a network, such as ``s3://bucket/run``.

    Example:
        >>> check_writable(Path("runs/today/run"))  # says nothing, and makes nothing
        >>> Path("runs").exists()
        False
    """
    if path.parts and _SCHEME.fullmatch(path.parts[0]) and not Path(path.parts[0]).is_dir():
        raise OutputError(
            "{path} is an address on a network; leakscan writes to folders.",
            "Name a folder, and copy it there afterwards.",
            path=path,
        )
    place = path.absolute()
    # Not by the methods of Path: they raise where a folder above may not be entered.
    for above in place.parents:
        if os.path.exists(above) and not os.path.isdir(above):  # noqa: PTH110, PTH112
            raise OutputError(
                "{path} cannot be written: {file} is a file, not a folder.",
                "Name another place.",
                path=path,
                file=above,
            )
    folder = next(folder for folder in (place, *place.parents) if os.path.isdir(folder))  # noqa: PTH112
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            "{path} cannot be written: there is no permission to write in {folder}.",
            "Name another place.",
            path=path,
            folder=folder,
        )


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to, which takes its name at the end: a file of that name is complete.

    It is on disk before it takes the name, and the name is on disk before this ends, so that not even a power
    cut leaves half a file.

    Args:
        path: The file to write. It stays as it was where the writing fails.

    Raises:
        OutputError: The disk is full, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "answer.txt"
        >>> with written_whole(file) as part:
        ...     _ = part.write_text("42")
        >>> file.read_text(), part.exists()
        ('42', False)
    """
    part = path.with_name(path.name + ".part")
    try:
        remove_old(part)
        yield part
        with part.open("r+b") as written:
            os.fsync(written.fileno())
        part.replace(path)
        _keep_names(path.parent)
    except OSError as e:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"Cannot write {{path}}: {e.strerror or e}.",
            "Free some space or choose another folder.",
            path=path,
        ) from e


def remove_old(part: Path) -> None:
    """Removes whatever has the name of a file that is about to be made.

    A folder of a stranger may hold a link of that name, which leads to a file of whoever writes there: then
    the link goes, and nothing is written through it.

    Args:
        part: The file.

    Raises:
        OSError: It cannot be removed.
    """
    part.unlink(missing_ok=True)


def _keep_names(folder: Path) -> None:
    """Puts the names of a folder on disk, where the system can do that for a folder."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
