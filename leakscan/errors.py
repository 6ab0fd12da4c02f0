"""What can go wrong, as types. The command line turns each into a sentence and an exit code.

Messages are whole sentences that name the file and say what to do; ``hint`` may add a command.
"""

from __future__ import annotations

from leakscan.types import Status


class LeakscanError(Exception):
    """Base of every error a user can cause or mend.

    Args:
        message: a sentence that names the thing.
        hint: what to try next, or empty.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


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
        status: what the row gets.
        message: a sentence; the file is named by the row.
    """

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message = message

    def __reduce__(self) -> tuple[type[ImageError], tuple[Status, str]]:
        return type(self), (self.status, self.message)
