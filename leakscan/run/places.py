"""What sources are called, and where their caches and reports lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from blake3 import blake3

from leakscan.errors import OutputError, UsageError
from leakscan.fingerprint.store import is_store
from leakscan.writable import check_writable


def dataset_names(specs: Sequence[str]) -> list[str]:
    """Short names for sources, told apart by as much of their paths as it takes, else by a number.

    Raises:
        UsageError: the same source is given twice.
    """
    resolved = [_resolved(spec) for spec in specs]
    for i, one in enumerate(resolved):
        if one in resolved[:i]:
            raise UsageError(
                f"{specs[i]} is given twice; comparing a dataset with itself finds every image.",
                "Leaks inside one dataset: leakscan audit A.",
            )
    names: list[str] = []
    parts = [_parts(text) for text in resolved]
    for depth in range(1, max(map(len, parts)) + 1):
        # A name that is no Unicode is shown by its bytes, as in the tables' paths.
        names = [os.fsencode("/".join(p[-depth:])).decode("utf-8", "backslashreplace") for p in parts]
        if len(set(names)) == len(names):
            return names
    # Bytes that are shown so, and a name that really is what they are shown as.
    return [f"{name} ({names[:i].count(name) + 1})" for i, name in enumerate(names)]


def check_apart(specs: Sequence[str], exclude: Sequence[str]) -> None:
    """Refuses a folder inside another, unless something is left out: its images would be found in both.

    Raises:
        UsageError: one lies inside another.
    """
    images = (spec for spec in specs if Path(spec).expanduser().is_dir() and not is_store(Path(spec)))
    folders = [Path(_resolved(spec)) for spec in images]
    for inner in folders:
        outer = next((folder for folder in folders if folder in inner.parents), None)
        if outer is not None and not exclude:
            raise UsageError(
                f"{inner} lies inside {outer}: every image of it would be found in both.",
                f"Leave it out of the other with --exclude '{inner.relative_to(outer).as_posix()}/**'.",
            )


def cache_name(spec: str, key_id: str) -> str:
    """The folder of a source's cached store: readable, and distinct by full path and key."""
    resolved = _resolved(spec)
    stem = "".join(c if c.isalnum() else "-" for c in Path(resolved.partition("?")[0]).name)[:40]
    return f"{stem}-{blake3(os.fsencode(f'{key_id}|{resolved}')).hexdigest()[:12]}.fps"


def make_cache(folder: Path) -> None:
    """Makes the cache folder, readable by its owner only and ignored by git.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o700)
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as e:
        raise OutputError(
            f"The cache folder {folder} cannot be made: {e.strerror or e}.", "Choose another with --cache."
        ) from e


def check_output(folder: Path, overwrite: bool) -> Path:
    """Refuses a run folder that cannot be written, before any work is done. Touches nothing.

    Raises:
        OutputError: it exists and may not be overwritten, holds files that are no run's, or lies where
            nothing may be written.
    """
    check_writable(folder)
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder.", "Choose another -o.")
    if not any(folder.iterdir()):
        return folder
    if not overwrite:
        raise OutputError(f"{folder} exists already.", "Choose another -o, or add --overwrite.")
    if not (folder / "summary.json").is_file():
        raise OutputError(f"{folder} is not a run folder, so it is not overwritten.", "Choose another -o.")
    return folder


def _parts(resolved: str) -> list[str]:
    """Folders and the file of a path; what selects rows of a manifest belongs to the file."""
    path, mark, query = resolved.partition("?")
    *folders, last = [part for part in path.split("/") if part] or [path]
    return [*folders, last + mark + query]


def _resolved(spec: str) -> str:
    path, mark, query = spec.partition("?")
    return str(Path(path).expanduser().resolve()) + mark + query
