"""The files that people made for a run, and the folder that it may write: read before hours of work."""

from __future__ import annotations

import os
from pathlib import Path

from leakscan.report.run_folder import RunFolder
from leakscan.review.verdicts import Verdict, VerdictFile
from leakscan.run.left_out import ListedImages
from leakscan.settings import Settings
from leakscan.writable import check_writable


def free_folder(output: str | os.PathLike[str] | None, overwrite: bool) -> RunFolder | None:
    """The run folder that may be written, ``None`` where nothing is to be written.

    Raises:
        OutputError: It may not be written.

    Example:
        >>> free_folder("run", overwrite=False).path.as_posix()
        'run'
        >>> free_folder(None, overwrite=False) is None
        True
    """
    if output is None:
        return None
    folder = RunFolder(Path(output))
    folder.check_free(overwrite)
    return folder


def check_files(settings: Settings) -> None:
    """Reads the files that people made for this run, so that a wrong one is said before hours of work.

    Raises:
        UsageError: A file is not there, or is not what it should be.
        StoreError: The file of verdicts is damaged.

    Example:
        >>> check_files(Settings.of(exclude_list=("drop.csv",)))
        Traceback (most recent call last):
        leakscan.errors.UsageError: The list drop.csv cannot be read: no such file or directory.
    """
    known_verdicts(settings)
    known_lists(settings)
    if settings.limits.profile is not None:
        check_writable(settings.limits.profile)
    if settings.deciding.baseline is not None:
        RunFolder.open(settings.deciding.baseline)


def known_lists(settings: Settings) -> list[ListedImages]:
    """The lists of images to leave out that the settings name.

    Raises:
        UsageError: One cannot be read, or names no images.

    Example:
        >>> known_lists(Settings())
        []
    """
    return [ListedImages.read(path) for path in settings.reading.exclude_list]


def known_verdicts(settings: Settings) -> list[Verdict] | None:
    """The verdicts that the settings name, ``None`` where they name none.

    Raises:
        UsageError: There is no such file.
        StoreError: It is damaged, or no file of verdicts.

    Example:
        >>> known_verdicts(Settings()) is None
        True
    """
    path = settings.deciding.verdicts
    return None if path is None else VerdictFile.open(path).read()
