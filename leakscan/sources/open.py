"""From what the user typed to a source."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from leakscan.errors import SourceError
from leakscan.sources.directory import DirectorySource
from leakscan.sources.manifest import MANIFEST_SUFFIXES, ManifestSource
from leakscan.sources.subject_rules import SubjectRule
from leakscan.types import DecodeOptions, ImageSource


def open_source(
    spec: str,
    options: DecodeOptions,
    exclude: Sequence[str] = (),
    subjects: SubjectRule | None = None,
    name: str | None = None,
    subjects_column: str = "subject_id",
) -> ImageSource:
    """Opens a folder, a manifest or a single image; fingerprint stores are opened by their own room.

    A folder is only ever walked: a ``manifest.csv`` in it is used when it is what ``spec`` names.

    Args:
        spec: a path; after a manifest ``?column=value`` (several joined by ``&``) selects rows.
        options: for reading headers.
        exclude: globs of relative paths to leave out.
        subjects: how paths name subjects, if the user said so.
        name: of the dataset; by default that of the folder or file.
        subjects_column: of a manifest.

    Raises:
        SourceError: there is nothing of the kind; the hint names what is spelt much alike.
    """
    path, query = _split(spec)
    if not os.path.lexists(path):
        raise SourceError(f"{path} does not exist.", _near(path))
    if path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file():
        base = path.stem if path.stem.lower() != "manifest" else path.resolve().parent.name
        called = name or "-".join([base, *query.values()])
        return ManifestSource(path, called, options, query, subjects_column, subjects, exclude)
    return DirectorySource(path, name or path.resolve().name or str(path), options, exclude, subjects)


def _split(spec: str) -> tuple[Path, dict[str, str]]:
    """Path and row selection; a question mark that is part of an existing name stays there."""
    before, mark, after = _at_query(spec)
    if not mark or os.path.lexists(spec) or Path(before).suffix.lower() not in MANIFEST_SUFFIXES:
        return Path(spec).expanduser(), {}
    try:
        pairs = parse_qsl(after, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        pairs = []
    if not pairs or len(dict(pairs)) < len(pairs):
        raise SourceError(
            f"The selection {after!r} in {spec} is not understood.",
            "Write column=value, several joined by &, as in films.csv?split=test.",
        )
    return Path(before).expanduser(), dict(pairs)


def _at_query(spec: str) -> tuple[str, str, str]:
    """Splits where a manifest's name ends and its selection begins; values may hold ``?``."""
    for suffix in MANIFEST_SUFFIXES:
        at = spec.lower().find(suffix + "?")
        if at >= 0:
            end = at + len(suffix)
            return spec[:end], "?", spec[end + 1 :]
    return spec.rpartition("?")


def _near(path: Path) -> str:
    """A hint at the first part of a path that is wrong."""
    parent, wrong = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, wrong = parent.parent, parent.name
    try:
        siblings = sorted(os.listdir(parent))  # noqa: PTH208 - names only
    except OSError:
        siblings = []
    near = difflib.get_close_matches(wrong, siblings, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(str(parent / n) for n in near)}?"
    return f"There is no {wrong!r} in {'this folder' if parent == Path() else parent}."
