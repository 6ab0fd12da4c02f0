"""Whether what the user typed is there at all: asked first, before anything slow is loaded."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from leakscan.errors import SourceError, reason
from leakscan.sources.remote import is_url
from leakscan.sources.spec import SourceSpec


def check_there(sources: Iterable[str | os.PathLike[str]]) -> None:
    """Refuses paths that do not exist; what they hold is not examined.

    Args:
        sources: What the user typed; URLs are let through.

    Raises:
        SourceError: A path does not exist; the hint names what is spelt much alike.

    Example:
        >>> Path("ward").mkdir()
        >>> check_there(["ward"])
        >>> check_there(["ward", "wart"])
        Traceback (most recent call last):
        leakscan.errors.SourceError: wart does not exist.
        Did you mean ward?
    """
    for spec in map(SourceSpec.parse, sources):
        if not is_url(spec.raw) and not os.path.lexists(spec.path):
            raise missing(spec.path)


def missing(path: Path) -> SourceError:
    """The error of a path that does not exist, with a hint at the first part of it that is wrong.

    Where the system does not let us see whether it exists, it says that instead.

    Example:
        >>> missing(Path("ward/films")).hint
        "There is no 'ward' in this folder."
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return SourceError(
            "{path} cannot be reached: {reason}.",
            "Check the rights of the folders above it, and that its disk or share answers.",
            path=path,
            reason=reason(error),
        )
    parent, wrong = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, wrong = parent.parent, parent.name
    try:
        siblings = sorted(os.listdir(parent))  # noqa: PTH208 - names only
    except OSError:
        siblings = []
    near = difflib.get_close_matches(wrong, siblings, n=3, cutoff=0.6)
    if near:
        # Facts that are paths, so that they can be hidden.
        facts: dict[str, Any] = {f"near_{i}": parent / name for i, name in enumerate(near)}
        hint = f"Did you mean {' or '.join(f'{{{fact}}}' for fact in facts)}?"
    else:
        facts = {"wrong": Path(wrong), "parent": parent}
        hint = f"There is no '{{wrong}}' in {'this folder' if parent == Path() else '{parent}'}."
    return SourceError("{path} does not exist.", hint, path=path, **facts)
