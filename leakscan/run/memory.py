"""What was seen of pairs of pictures, so that no pair is checked or matched twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from leakscan.decide.copies import CopyCheck


class PairMemory:
    """Copy checks and detail matches by pair of pictures, in one SQLite file.

    Args:
        path: The file; ``None`` keeps what is found in this process only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def copy_checks(self, pairs: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], CopyCheck]:
        """What is known of some pairs of pictures."""
        raise NotImplementedError

    def keep_copy_checks(self, found: Iterable[tuple[str, str, CopyCheck]]) -> None:
        """Writes findings at once."""
        raise NotImplementedError

    def detail_matches(
        self, matcher: str, pairs: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], float]:
        """What a detail match found of some pairs of pictures."""
        raise NotImplementedError

    def keep_detail_matches(self, matcher: str, found: Iterable[tuple[str, str, float]]) -> None:
        """Writes findings at once."""
        raise NotImplementedError
