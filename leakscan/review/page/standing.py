"""The verdicts that stand by now, whoever wrote them; a file of thousands is read on, not again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from leakscan.review.opinions import is_over, newest_of_each
from leakscan.review.verdicts import Verdict, VerdictFile

_SURE = ("same", "different", "wanted")


class Standing:
    """What a file of verdicts says, kept up to date while several people write into it.

    Args:
        file: The file.

    Example::

        standing = Standing(VerdictFile(Path("run/verdicts.parquet")))
        standing.refresh()
        standing.on(verdict.about)  # the newest of every person on the same thing
    """

    def __init__(self, file: VerdictFile) -> None:
        self.verdicts: list[Verdict] = []
        self._file = file
        self._age: tuple[int, int] | None = None
        self._newest: dict[tuple[Any, str], Verdict] = {}
        self._about: dict[Any, list[Verdict]] = {}

    def on(self, about: Any) -> Sequence[Verdict]:
        """What stands about a thing, one verdict a person."""
        return self._about.get(about, [])

    def forget_age(self) -> None:
        """Has the file read at the next refresh, even if the clock of the disk is too coarse to tell."""
        self._age = None

    def refresh(self) -> bool:
        """Reads what is new in the file.

        Returns:
            Whether anything may have changed.

        Raises:
            StoreError: The file is damaged.
        """
        age = self._age_now()
        if age == self._age:
            return False
        known, self.verdicts = self.verdicts, self._file.read(self.verdicts)
        self._age = age
        # Of thousands only those that are new are taken in; a file that was replaced is taken in afresh.
        if not known or len(self.verdicts) < len(known) or self.verdicts[len(known) - 1] is not known[-1]:
            known, self._newest = [], {}
        for key, verdict in newest_of_each(self.verdicts[len(known) :]).items():
            if key not in self._newest or verdict.at >= self._newest[key].at:
                self._newest[key] = verdict
        today = datetime.now().astimezone().date()
        self._about = {}
        for (about, _), verdict in self._newest.items():
            if verdict.verdict != "withdrawn" and not is_over(verdict, today):
                self._about.setdefault(about, []).append(verdict)
        return True

    def _age_now(self) -> tuple[int, int] | None:
        try:
            info = self._file.path.stat()
        except OSError:
            return None
        return info.st_mtime_ns, info.st_size


def disputed(said: Sequence[Verdict]) -> bool:
    """Whether two people differ about the same thing.

    Example:
        >>> disputed([])
        False
    """
    words: dict[Any, set[str]] = {}
    for verdict in said:
        if verdict.verdict in _SURE:
            words.setdefault(verdict.about, set()).add(verdict.verdict)
    return any(len(different) > 1 for different in words.values())
