"""Whether something may be written at a place, asked before hours of work and not after them."""

from __future__ import annotations

import os
from pathlib import Path

from leakscan.errors import OutputError


def check_writable(path: Path) -> None:
    """Refuses a file or folder in whose place, or nearest folder that exists, nothing may be written.

    Raises:
        OutputError: Nothing may be written there; the message names the folder.

    Example:
        >>> check_writable(Path("runs/today/run"))  # says nothing, and makes nothing
        >>> Path("runs").exists()
        False
    """
    place = path.absolute()
    folder = next(folder for folder in (place, *place.parents) if folder.is_dir())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            "{path} cannot be written: there is no permission to write in {folder}.",
            "Name another place.",
            path=path,
            folder=folder,
        )
