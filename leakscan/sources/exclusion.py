"""Which files of a source are left out, by the patterns of ``.gitignore`` files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from leakscan.errors import UsageError


class Exclusion:
    """Patterns of relative paths, with the meaning that they have in a ``.gitignore`` file.

    A pattern without a slash matches names in every folder. One with a slash before its end begins at
    the top of the source. ``*`` stays within one folder and ``**`` crosses folders; a slash at the end
    means folders only; ``!`` takes a match back. A folder that matches is left out with all in it.

    Two things differ from a file: a ``#`` at the beginning is a usual letter, since an argument is no
    comment, and ``./x`` means ``/x``. Where ``!`` or ``**`` meets a slash at the end, as in ``!*`` before
    ``*/`` or in ``*/**/``, git and pathspec may disagree.

    Attributes:
        met: The patterns, as they were given, that something met so far which nothing else left out.

    Args:
        patterns: The patterns in order; a later one goes before an earlier one.

    Raises:
        UsageError: A pattern is malformed, or can match nothing.

    Example:
        >>> left_out = Exclusion(["masks/", "/notes/*.png"])
        >>> left_out.covers("patient 1/masks/lung.png"), left_out.covers("notes/old/1.png")
        (True, False)
        >>> left_out.met
        {'masks/'}
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        given = [pattern for pattern in patterns if pattern.strip()]
        lines = [_line(pattern) for pattern in given]
        self.met: set[str] = set()
        alone = [GitIgnoreSpec.from_lines([line.removeprefix("!")]) for line in lines]
        self._unmet = dict(zip(given, alone, strict=True))
        self._takes_back = any(line.startswith("!") for line in lines)
        if self._takes_back:
            # Only what is in x, not x itself, is left out by x/**, but pathspec names x itself "x/".
            lines = [line[:-1] if line.endswith("/**") else line for line in lines]
        self._spec = GitIgnoreSpec.from_lines(lines) if lines else None

    @property
    def empty(self) -> bool:
        """Whether there is no pattern."""
        return self._spec is None

    def covers(self, name: str) -> bool:
        """Whether a file or folder is left out.

        Args:
            name: The path relative to the source, posix; a folder's ends in a slash.
        """
        if self._spec is None:
            return False
        for pattern in [pattern for pattern, alone in self._unmet.items() if alone.match_file(name)]:
            del self._unmet[pattern]
            self.met.add(pattern)
        # As in git, what lies in a folder that is left out cannot be taken back.
        above = (name[: i + 1] for i, c in enumerate(name[:-1]) if c == "/") if self._takes_back else ()
        return self._spec.match_file(name) or any(map(self._spec.match_file, above))


def _line(pattern: str) -> str:
    """The pattern as a line of a ``.gitignore`` file."""
    line = unicodedata.normalize("NFC", pattern)
    if line.startswith("./"):
        line = line[1:]
    elif line.startswith("#"):
        line = f"\\{line}"
    try:
        understood = any(p.include is not None for p in GitIgnoreSpec.from_lines([line]).patterns)
    except (ValueError, re.error):
        understood = False
    if not understood:
        raise UsageError(
            f"The pattern {pattern!r} of files to leave out is not understood.",
            "Patterns have the form of lines in a .gitignore file: labels/, *.png or a/**/b.",
        )
    return line
