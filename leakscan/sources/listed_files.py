"""From a path as a table spells it to the file that lies on disk."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from leakscan.harmless import from_cell


class ListedFiles:
    r"""The files below a folder, by whatever a table calls them.

    Tables are written on one system and read on another: with backslashes, with letters composed
    otherwise, in another case, or with the bare names of files that lie in folders.

    Args:
        root: The folder that paths are relative to.

    Example:
        >>> Path("Ward").mkdir()
        >>> Path("Ward/a.png").touch()
        >>> found, how = ListedFiles(Path.cwd()).find("ward\\A.PNG")
        >>> found.name, how
        ('a.png', 'The manifest spells its path otherwise: ward\\A.PNG.')
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def find(self, listed: str) -> tuple[Path, str]:
        """The file, and what to note of how it was found.

        Args:
            listed: The path as the table has it.

        Returns:
            The path, absolute, whether it exists or not; and a sentence, empty where it is spelt as it is.
        """
        exact = Path(os.path.normpath(self._root / listed))
        try:
            if os.path.lexists(exact):
                return exact, ""
        except ValueError:
            return exact, ""
        note = f"The manifest spells its path otherwise: {listed}."
        plain = listed.strip(), from_cell(listed.strip()), listed.strip().replace("\\", "/")
        for text in dict.fromkeys(plain):
            path = Path(os.path.normpath(self._root / text))
            if os.path.lexists(path):
                return path, note
            if path.is_relative_to(self._root) and (found := self._otherwise(path)) is not None:
                return found, note
        name = listed.strip().replace("\\", "/").rpartition("/")[2]
        bare = name == listed.strip() or ":" in listed[:3]
        if bare and name and len(places := self._by_name[_alike(name)]) == 1:
            return places[0], f"The manifest gives only its name; it lies in {places[0].parent.name}."
        return exact, ""

    def _otherwise(self, path: Path) -> Path | None:
        """The file whose path differs in case and the form of its letters only, if there is one."""
        here = self._root
        for part in path.relative_to(self._root).parts:
            names = self._listing(here).get(_alike(part), [])
            if len(names) != 1:
                return None
            here = here / names[0]
        return here

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listings:
            found: dict[str, list[str]] = defaultdict(list)
            try:
                for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names only
                    found[_alike(name)].append(name)
            except OSError:
                pass
            self._listings[folder] = dict(found)
        return self._listings[folder]

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for folder, inside, files in os.walk(self._root):
            inside[:] = sorted(n for n in inside if not n.startswith("."))
            for name in files:
                found[_alike(name)].append(Path(folder, name))
        return found


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
