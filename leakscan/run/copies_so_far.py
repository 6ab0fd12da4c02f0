"""The first results of a long run: which images are the same files in two datasets, before any is read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from leakscan.counted import counted
from leakscan.fingerprint.hashing import file_hash
from leakscan.sources.contents import content_mark
from leakscan.types import ImageRef, Progress

SECONDS = 20.0
"""The time in which files are read for it."""


def copies_so_far(
    scanned: Mapping[str, Sequence[ImageRef]], progress: Progress, before: Iterable[str] = ()
) -> list[str]:
    """What can be said of copies after a scan: how many images of two datasets are the same files.

    Files that agree in size and at both ends are read in full, as far as the time reaches.

    Args:
        scanned: The images of every dataset, by its name.
        progress: Receives how far the work is.
        before: The names of datasets that an earlier run compared with each other.

    Returns:
        A sentence for every two datasets with such files.

    Example::

        for sentence in copies_so_far({"A": refs_a, "B": refs_b}, progress):
            progress.tell(sentence)
    """
    ends, known = time.monotonic() + SECONDS, set(before)
    marked = {name: _marked(refs) for name, refs in scanned.items()}
    said = []
    for (a, marks_a), (b, marks_b) in combinations(marked.items(), 2):
        if {a, b} <= known:
            continue
        alike = sorted(marks_a.keys() & marks_b.keys())
        if not alike:
            continue
        progress.start("Reading equal files", len(alike))
        same = reached = 0
        for mark in alike:
            if time.monotonic() > ends:
                break
            hashes = {_hash(ref) for ref in marks_a[mark]} - {""}
            same += sum(_hash(ref) in hashes for ref in marks_b[mark])
            reached += 1
            progress.advance()
        if same:
            late = f" (so far as {SECONDS:.0f} s reach)" if reached < len(alike) else ""
            many = f"{'at least ' if late else ''}{counted(same, 'image')}"
            said.append(
                f"Copies so far: {many} of {b} {'is' if same == 1 else 'are'} in {a} as the same file{late}. "
                "Other copies, and people, are searched for once the images are read."
            )
    return said


def _marked(refs: Iterable[ImageRef]) -> dict[str, list[ImageRef]]:
    """The readable images by size and both ends of their files."""
    out: dict[str, list[ImageRef]] = {}
    for ref in refs:
        if ref.status == "ok" and ref.frame == 0:
            out.setdefault(ref.content or content_mark([ref.signature]), []).append(ref)
    return out


def _hash(ref: ImageRef) -> str:
    """The hash of its files, empty where they cannot be read: the run itself says so."""
    try:
        return file_hash(ref.files)
    except OSError:
        return ""
