"""What can go wrong, as types. A front end turns each into a sentence, a hint and an exit code.

Messages are whole sentences that say what is wrong. The file or folder that one is about is kept apart
from the words, so that it can be left out where paths must not be shown.
"""

from __future__ import annotations

import os
from typing import Any

from leakscan.types import Status

_PLACE = "{path}"
HIDDEN_PATH = "(path hidden)"


class LeakscanError(Exception):
    """The base of every error that a user can cause or mend.

    Args:
        message: A whole sentence. ``{path}`` in it stands for ``path``.
        hint: What to try next, in the words of the Python API; may be empty, may hold ``{path}``.
        code: The name of the mistake. The command line has a hint of its own for every code
            (``leakscan/cli/hints.py``), in its own words.
        path: The file or folder that the sentence is about.
        facts: What the hint of a front end needs to know, by name.

    Example:
        >>> error = StoreError("{path} is no fingerprint store.", path="a/b.fps")
        >>> str(error)
        'a/b.fps is no fingerprint store.'
        >>> error.without_path().message
        '(path hidden) is no fingerprint store.'
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        code: str = "",
        path: str | os.PathLike[str] | None = None,
        **facts: Any,
    ) -> None:
        self.sentence, self.hint_sentence = message, hint
        self.code, self.facts = code, facts
        self.path = None if path is None else os.fspath(path)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The sentence, with the path in its place."""
        return self._filled(self.sentence)

    @property
    def hint(self) -> str:
        """What to try next, with the path in its place."""
        return self._filled(self.hint_sentence)

    def without_path(self) -> LeakscanError:
        """The same error for readers who must see no path; facts that may hold paths go as well."""
        hidden = HIDDEN_PATH if self.path is not None else None
        return type(self)(self.sentence, self.hint_sentence, code=self.code, path=hidden)

    def _filled(self, words: str) -> str:
        return words if self.path is None else words.replace(_PLACE, self.path)


class UsageError(LeakscanError):
    """Arguments that do not fit together."""


class SourceError(LeakscanError):
    """A source that cannot be read at all: wrong path, empty folder, broken manifest."""


class StoreError(LeakscanError):
    """A fingerprint store or run folder that is damaged, of another version, or in the way."""


class ModelError(LeakscanError):
    """An encoder that is missing, damaged, or does not reproduce its golden fingerprints."""


class OutputError(LeakscanError):
    """Results that cannot be written: disk full, no permission, folder in the way."""


class ImageError(Exception):
    """One image cannot be used; the run goes on and the image's row says why.

    Args:
        status: What the row gets.
        message: A sentence. It names no path: the row does.
    """

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message = message

    def __reduce__(self) -> tuple[type[ImageError], tuple[Status, str]]:
        return type(self), (self.status, self.message)
