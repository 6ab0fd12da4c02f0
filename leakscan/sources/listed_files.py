"""From a path as a table spells it to the file that lies on disk."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from leakscan.harmless import from_cell
from leakscan.sources.formats import has_image_suffix
from leakscan.sources.identity import visible

_QUOTES = {("'", "'"), ('"', '"'), ("`", "`"), ("“", "”"), ("‘", "’"), ("«", "»"), ("<", ">")}
_PRINTED = re.compile(
    r"""(?:\w*Path\(|b(?=['"])|=HYPERLINK\()(['"].*?['"])(?:[,;].*)?\)?$""", re.IGNORECASE | re.DOTALL
)
"""A path as Python or a spreadsheet prints it: PosixPath('a.png'), b'a.png', =HYPERLINK("a.png","film")."""


class ListedFiles:
    r"""The files below a folder, by whatever a table calls them.

    Tables are written on one system and read on another: with backslashes, with letters composed
    otherwise, in another case, or with the bare names of files that lie in folders.

    Args:
        root: The folder that paths are relative to.
        listed: All paths of the table. Where two that lie in different folders have one name, none is
            found by its name alone.

    Example:
        >>> Path("Ward").mkdir()
        >>> Path("Ward/a.png").touch()
        >>> found, how = ListedFiles(Path.cwd()).find("ward\\A.PNG")
        >>> found.name, how
        ('a.png', 'The manifest spells its path otherwise: ward\\A.PNG.')
    """

    def __init__(self, root: Path, listed: Sequence[str] = ()) -> None:
        self._root = root
        self._listed = listed
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
        for text in dict.fromkeys(_spellings(listed)):
            path = Path(os.path.normpath(self._root / text))
            if os.path.lexists(path):
                return path, note
            if path.is_relative_to(self._root) and (found := self._otherwise(path)) is not None:
                return found, note
        slashed = _without_address(_unquoted(listed).replace("\\", "/"))
        name = slashed.rpartition("/")[2]
        elsewhere = slashed.startswith(("/", "~/", "$", "%", "{")) or ":" in slashed[:3]
        if elsewhere and (here := self._tail(slashed)) is not None:
            return here, f"The manifest names a place that is not here: {listed}. Its end is."
        if (name == slashed or elsewhere) and name and len(places := self._by_name[_alike(name)]) == 1:
            return places[0], f"The manifest gives only its name; it lies in {places[0].parent.name}."
        if name != slashed and (here := self._same_end(slashed)) is not None:
            return here, f"The manifest begins its path with other folders: {listed}."
        if not has_image_suffix(name) and len(places := self._by_stem[_alike(slashed)]) == 1:
            return places[0], f"The manifest leaves out the ending of its name: {listed}."
        if has_image_suffix(name) and len(places := self._by_stem[_alike(_stem(slashed))]) == 1:
            return places[0], f"The manifest gives its name another ending: {listed}."
        number = _number(_stem(slashed) if has_image_suffix(name) else slashed)
        if number and len(places := self._by_number[number]) == 1:
            return places[0], f"The manifest writes the number of its name otherwise: {listed}."
        return exact, ""

    def below(self, path: Path) -> Iterator[Path]:
        """The files below a folder that a row names, or those that a pattern such as ``ward/*.png`` meets.

        Args:
            path: The path of the row, absolute.

        Example:
            >>> Path("ward").mkdir()
            >>> Path("ward/a.png").touch()
            >>> [found.name for found in ListedFiles(Path.cwd()).below(Path.cwd() / "ward")]
            ['a.png']
        """
        if path.is_dir():
            for folder, inside, files in os.walk(path):
                inside[:] = sorted(n for n in inside if not n.startswith("."))
                yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))
        elif is_pattern(path) and path.is_relative_to(self._root):
            pattern = path.relative_to(self._root).as_posix()
            yield from (found for found in sorted(self._root.glob(pattern)) if found.is_file())

    def namesake(self, listed: str) -> Path | None:
        """The one file that is called as a path that leads nowhere, in another folder, if there is one.

        Args:
            listed: The path as the table has it.
        """
        name = _unquoted(listed).replace("\\", "/").rpartition("/")[2]
        places = self._by_name[_alike(name)] if name else []
        return places[0] if len(places) == 1 else None

    def _same_end(self, listed: str) -> Path | None:
        """The one file whose path is the end of a listed one, or ends with it.

        The folder that the table was written from may lie above the root or below it. A bare name is an end
        that many paths have, so it counts only if no other path of the table has it.
        """
        parts = [_alike(part) for part in listed.split("/") if part not in ("", ".", "..")]
        if len(parts) < 2:
            return None
        found = []
        for place in self._by_name[parts[-1]]:
            own = [_alike(part) for part in place.relative_to(self._root).parts]
            shared = min(len(own), len(parts))
            if own[-shared:] == parts[-shared:] and (shared > 1 or self._counts[parts[-1]] == 1):
                found.append(place)
        return found[0] if len(found) == 1 else None

    @cached_property
    def _counts(self) -> Counter[str]:
        """How many paths of the table have a name."""
        paths = {_unquoted(path).replace("\\", "/") for path in self._listed}
        return Counter(_alike(path.rpartition("/")[2]) for path in paths)

    def _tail(self, listed: str) -> Path | None:
        """The file whose path is the longest end of one that was written on another machine.

        At least a folder must agree beside the name, because names like ``1.png`` stand in many.
        """
        parts = [part for part in listed.split("/") if part not in ("", ".", "..")]
        for start in range(1, len(parts) - 1):
            path = self._root.joinpath(*parts[start:])
            if os.path.lexists(path):
                return path
        return None

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

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        """Images by their names without ending, alone and below the root."""
        found: dict[str, list[Path]] = defaultdict(list)
        for places in self._by_name.copy().values():
            for path in places:
                if has_image_suffix(path.name):
                    stem = _stem(path.name)
                    inside = path.parent.relative_to(self._root).as_posix()
                    for name in dict.fromkeys((stem, stem if inside == "." else f"{inside}/{stem}")):
                        found[_alike(name)].append(path)
        return found

    @cached_property
    def _by_number(self) -> dict[str, list[Path]]:
        """Images whose names are numbers, by these without the zeros before them."""
        found: dict[str, list[Path]] = defaultdict(list)
        for stem, places in self._by_stem.copy().items():
            if number := _number(stem):
                found[number].extend(places)
        return found


def is_pattern(path: Path) -> bool:
    """Whether a path that leads nowhere is a pattern for several.

    Example:
        >>> is_pattern(Path("ward/*.png")), is_pattern(Path("ward/a.png"))
        (True, False)
    """
    return any(letter in str(path) for letter in "*?")


def _number(path: str) -> str:
    """A path whose name is a number, without the zeros before it and the point of a float; else nothing."""
    folder, slash, name = path.rpartition("/")
    digits = name.removesuffix(".0")
    plain = digits.isascii() and digits.isdigit()
    return _alike(folder) + slash + (digits.lstrip("0") or "0") if plain else ""


def _unquoted(text: str) -> str:
    """A cell without the space, the quotes, and what Python or a spreadsheet prints around a path."""
    plain = visible(text).strip()
    if printed := _PRINTED.match(plain):
        plain = printed[1]
    return plain[1:-1].strip() if len(plain) > 2 and (plain[0], plain[-1]) in _QUOTES else plain


def _spellings(listed: str) -> tuple[str, ...]:
    """What a cell may mean: as it is, as spreadsheets guard it, with slashes, or as a URL spells it."""
    plain = _unquoted(listed)
    return plain, from_cell(plain), plain.replace("\\", "/"), unquote(plain).replace("\\", "/")


def _without_address(text: str) -> str:
    """A path without the scheme, the server and the question of a URL."""
    found = re.match(r"(?:file|https?|s3|gs|gcs|abfss?|az|hdfs|hf)://([^?#]*)", text, re.IGNORECASE)
    return "/" + unquote(found[1]) if found else text


def _stem(name: str) -> str:
    """A name without its ending."""
    return re.sub(r"\.(nii\.gz|[^./]*)$", "", name)


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
