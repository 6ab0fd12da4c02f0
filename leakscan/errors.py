"""What can go wrong, as types. A front end turns each into a sentence, a hint and an exit code.

Messages are whole sentences that say what is wrong. The file or folder that one is about is kept apart
from the words, so that it can be left out where paths must not be shown.
"""

from __future__ import annotations

import os
from typing import Any

from leakscan.types import Status

HIDDEN_PATH = "(path hidden)"


class LeakscanError(Exception):
    """The base of every error that a user can cause or mend.

    Args:
        message: A whole sentence. ``{path}`` in it stands for ``path``, and the name of a fact for the fact.
        hint: What to try next, in the words of the Python API; may be empty, and is filled likewise.
        code: The name of the mistake. The command line has a hint of its own for every code
            (``leakscan/cli/hints.py``), in its own words.
        path: The file or folder that the sentence is about.
        facts: What else the sentence or the hint of a front end needs, by name. A fact that is a path
            is given as a ``Path``, so that it can be left out as well.

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
        if self.hint:
            self.add_note(self.hint)  # a script or notebook that does not catch it shows the hint as well

    @property
    def message(self) -> str:
        """The sentence, with the path in its place."""
        return self.filled(self.sentence)

    @property
    def hint(self) -> str:
        """What to try next, with the path in its place."""
        return self.filled(self.hint_sentence)

    def without_path(self) -> LeakscanError:
        """The same error for readers who must see no path."""
        hidden = HIDDEN_PATH if self.path is not None else None
        facts = {n: HIDDEN_PATH if isinstance(f, os.PathLike) else f for n, f in self.facts.items()}
        return type(self)(self.sentence, self.hint_sentence, code=self.code, path=hidden, **facts)

    def filled(self, words: str) -> str:
        """Words of a front end with the path and the facts in their places."""
        for name, fact in {"path": self.path, **self.facts}.items():
            if fact is not None:
                words = words.replace(f"{{{name}}}", str(fact))
        return words


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
        sentence: A sentence; ``{path}`` in it stands for ``path``.
        path: Another file that the sentence is about, such as a slice; the row names the image itself.
        left_out: What kind of thing this is, for a count of such things (``video``); by default it is the
            name of the format.
    """

    def __init__(self, status: Status, sentence: str, path: str = "", left_out: str = "") -> None:
        self.status: Status = status
        self.sentence, self.path, self.left_out = sentence, path, left_out
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The sentence, with the path in its place."""
        return self.sentence.replace("{path}", self.path) if self.path else self.sentence

    def __reduce__(self) -> tuple[type[ImageError], tuple[Status, str, str, str]]:
        return type(self), (self.status, self.sentence, self.path, self.left_out)


def reason(error: Exception) -> str:
    """Why something failed, for the middle of a sentence; the operating system's words without the path.

    Example:
        >>> reason(FileNotFoundError(2, "No such file or directory", "a/b.png"))
        'no such file or directory'
    """
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return str(error)
