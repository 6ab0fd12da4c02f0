"""What becomes of the sample files that other packages ship: each is read, or named with a reason.

``python -m leakscan.research.sample_files`` prints the table of docs/formats.md; a test compares the two.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode
from leakscan.types import Silent

_FOLDERS = {"pydicom": "data", "nibabel": "."}
_PROGRAMS = (".py", ".pyc", ".pyi", ".m", ".md", ".rst", ".txt", ".json", ".typed", ".toml", ".so")


def outcomes(package: str) -> Counter[tuple[str, str, str]]:
    """How often each thing becomes of a package's sample files.

    Args:
        package: ``pydicom`` or ``nibabel``.

    Returns:
        Counts of images by format, by status, and by reason; numbers in reasons are left out.

    Example::

        outcomes("pydicom")["dicom", "ok", ""]
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return Counter()
    options = DecodeOptions(frames="first")
    found: Counter[tuple[str, str, str]] = Counter()
    source = DirectorySource(Path(spec.origin).parent / _FOLDERS[package], package, options)
    for ref in source.scan(Silent()):
        if ref.path.endswith(_PROGRAMS):
            continue
        status, error = str(ref.status), ref.error
        if status == "ok":
            try:
                decode(ref, options)
            except ImageError as refused:
                status, error = refused.status, refused.sentence
        name = ref.format or Path(ref.path).suffix.lower().lstrip(".") or "(none)"
        found[name, status, re.sub(r"[0-9][0-9,]*", "N", error.replace("{path}", "..."))] += 1
    return found


def ships_images(package: str) -> bool:
    """Whether a package, as it is installed, holds any file that is or looks like an image.

    Args:
        package: The name by which it is imported.

    Example::

        ships_images("PIL")  # False: pillow's samples lie in its repository only
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return False
    source = DirectorySource(Path(spec.origin).parent, package, DecodeOptions(frames="first"))
    return any(ref.status != "ignored" for ref in source.scan(Silent()))


def table() -> str:
    """The table as Markdown, with the versions of the packages.

    Example::

        print(table())
    """
    lines = ["| from | format or suffix | images | becomes | why |", "|---|---|---|---|---|"]
    for package in _FOLDERS:
        for (name, status, why), n in sorted(outcomes(package).items()):
            lines.append(f"| {package} {version(package)} | `{name}` | {n} | `{status}` | {why} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
