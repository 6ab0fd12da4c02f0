"""Archives that were cut into parts: which files belong together, and one stream over all of them.

``split`` writes ``films.tar.gz.aa``, ``.ab`` and so on, or ``.00``, ``.01``; 7-Zip writes ``films.zip.001``;
Info-ZIP and WinZip write ``films.z01``, ``films.z02`` and, last, ``films.zip``. Parts are read as one stream
where they lie; nothing is joined on disk.
"""

from __future__ import annotations

import bisect
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from blake3 import blake3

from leakscan.sources.contents import STEP, is_inside, sampled
from leakscan.sources.seekable_stream import SeekableStream

_JOINED = f"{STEP}{STEP}j"
_DIGITS = re.compile(r"\d{1,6}\Z")
_LETTERS = re.compile(r"[a-z]+|[A-Z]+")
_PACKED = r"\.(?:zip|tar|tgz|tbz2?|txz|tzst|tlz|gz|bz2|xz|zst|lz4|lzma|7z|rar)"
_WORD = r"(?:part|vol|chunk|disk|split)"
_TWO = r"(?!gz|[blx]z|br|md|py|js|db|sh)[a-z]{2}|aa[a-z]{1,2}"
_USUAL = ("txt", "csv", "tsv", "xml", "log", "pdf", "htm", "yml", ".md", ".py")
"""How names of files end that are no counts; there are many such files."""
_BEFORE = re.compile(rf"(?:{_PACKED}|{_WORD})\Z", re.IGNORECASE)
_BY_NAME = re.compile(
    rf"(?:{_PACKED}[._-]?{_WORD}?[._-]?(?:\d{{1,6}}|{_TWO})|\.z\d{{2,3}}|\.r\d{{2}}|\.part\d+\.rar)\Z",
    re.IGNORECASE,
)
_SPANNED = re.compile(r"(?P<stem>.*)\.(?P<z>[zZ])(?P<count>\d{2,3})$", re.DOTALL)
_END_RECORD = b"PK\5\6"
_LONGEST_END = 1 << 17


def is_named_part(name: str) -> bool:
    """Whether a name says that its file is a part of an archive.

    Example:
        >>> is_named_part("films.tar.gz.ab"), is_named_part("films.Z01"), is_named_part("IM_0001")
        (True, True, False)
    """
    return _BY_NAME.search(name) is not None


def joined(first: str) -> str:
    r"""The place of what all parts of a split archive hold together.

    Args:
        first: The part by which the archive is known: the first, or ``films.zip`` beside ``films.z01``.

    Example:
        >>> joined("films.tar.aa")
        'films.tar.aa\x00\x00j'
    """
    return f"{first}{_JOINED}"


def parts_of(first: str) -> tuple[str, ...]:
    """All parts of a split archive in order; empty where a file is not the one by which such is known.

    Args:
        first: A file on disk.

    Example:
        >>> for name in ("films.tar.aa", "films.tar.ab"):
        ...     _ = Path(name).write_bytes(b"a part")
        >>> parts_of("films.tar.aa"), parts_of("films.tar.ab")
        (('films.tar.aa', 'films.tar.ab'), ())
    """
    if is_inside(first) or not (first[-4:].lower() == ".zip" or _may_begin(first)):
        return ()
    try:
        changed = os.stat(os.path.dirname(first) or ".").st_mtime_ns  # noqa: PTH116, PTH120 - for speed
    except OSError:
        return ()
    return _parts(first, changed)


def _may_begin(name: str) -> bool:
    return name[-1:] in ("0", "1") or name[-2:] in ("aa", "AA")


@lru_cache(maxsize=256)
def _parts(first: str, changed: int) -> tuple[str, ...]:
    if not os.path.isfile(first):  # noqa: PTH113
        return ()
    if first[-4:].lower() == ".zip":
        found = _spanned(first)
        return (*found, first) if found else ()
    for stem, count in _counts(first):
        if _is_first(stem, count) and len(found := _following(stem, count)) > 1:
            return tuple(found)
    return ()


def _counts(name: str) -> list[tuple[str, str]]:
    """How a name may be parted into a stem and a count: all its last digits, or a few of its last letters."""
    if name[-1:].isdecimal() and (digits := _DIGITS.search(name)) is not None:
        return [(name[: digits.start()], digits[0])]
    splits = [(name[:-n], name[-n:]) for n in (2, 3, 4, 6) if len(name) >= n]
    usual = name[-3:].lower() in _USUAL or name[-5:].lower() == ".json"
    return [(s, end) for s, end in splits if not usual and _LETTERS.fullmatch(end) and _may_precede(s)]


def _may_precede(stem: str) -> bool:
    """Whether letters behind a stem may count, and are not just the end of a word."""
    return stem[-1:] in ".-_" or "." not in stem.rpartition("/")[2] or _BEFORE.search(stem) is not None


def _following(stem: str, count: str) -> list[str]:
    found = [stem + count]
    while count := next((c for c in _after(count) if os.path.isfile(stem + c)), ""):  # noqa: PTH113
        found.append(stem + count)
    return found


def _spanned(last: str) -> list[str]:
    """The parts ``.z01``, ``.z02``, ... that lie before a zip file."""
    letter = "Z" if last.endswith("ZIP") else "z"
    found: list[str] = []
    while os.path.isfile(part := f"{last[:-4]}.{letter}{len(found) + 1:02d}"):  # noqa: PTH113
        found.append(part)
    return found


def _is_first(stem: str, count: str) -> bool:
    if not count.isdigit():
        return set(count.lower()) == {"a"}
    if int(count) > 1:
        return False
    return int(count) == 0 or not os.path.isfile(stem + "0" * len(count))  # noqa: PTH113


def _after(count: str) -> tuple[str, ...]:
    """The counts that may follow one: the next, and the wider one of ``split`` before it runs out."""
    if count.isdigit():
        wider = "9" + "0" * (len(count) + 1) if count == "8" + "9" * (len(count) - 1) else ""
        return (str(int(count) + 1).zfill(len(count)), *([wider] if wider else []))
    first, last = ("a", "z") if count.islower() else ("A", "Z")
    body = count.rstrip(last)
    if not body:
        return ()
    after = body[:-1] + chr(ord(body[-1]) + 1) + first * (len(count) - len(body))
    return (after, last + first * (len(count) + 1)) if after == last + first * (len(count) - 1) else (after,)


def first_of(part: str) -> str:
    """The file by which the split archive is known that a later part belongs to; empty where there is none.

    Args:
        part: A file on disk.

    Example:
        >>> for name in ("films.tar.aa", "films.tar.ab"):
        ...     _ = Path(name).write_bytes(b"a part")
        >>> first_of("films.tar.ab"), first_of("films.tar.aa")
        ('films.tar.aa', '')
    """
    if is_inside(part):
        return ""
    if part[-1:].isdigit() and (spanned := _SPANNED.match(part)):
        last = spanned["stem"] + (".ZIP" if spanned["z"] == "Z" else ".zip")
        if part in parts_of(last):
            return last
    found = []
    for stem, count in _counts(part):
        letter = "a" if count.islower() else "A"
        lengths = range(len(count), 0, -1) if count.isdigit() else range(len(count), 1, -2)
        for length in lengths:
            firsts = ["0" * length, "1".zfill(length)] if count.isdigit() else [letter * length]
            names = [stem + first for first in firsts]
            there = [name for name in names if name != part and os.path.isfile(name)]  # noqa: PTH113
            found += [name for name in there if part in parts_of(name)]
    return max(found, key=lambda first: len(parts_of(first)), default="")


def parts_mark(first: str) -> str:
    """The mark of all parts of a split archive together; see :func:`leakscan.sources.contents.mark_of`.

    Raises:
        OSError: A part cannot be read.

    Example:
        >>> for name in ("films.tar.aa", "films.tar.ab"):
        ...     _ = Path(name).write_bytes(b"a part")
        >>> parts_mark("films.tar.aa").partition("-")[0]
        '12'
    """
    marks = [sampled(part) for part in parts_of(first) or (first,)]
    digest = blake3("".join(m.mark.rpartition("-")[2] for m in marks).encode()).hexdigest(length=8)
    size, changed = sum(m.info.st_size for m in marks), max(m.info.st_mtime_ns for m in marks)
    return f"{size}-{changed}-{marks[0].info.st_ino}-{digest}"


class Joined(SeekableStream):
    """The parts of a split archive as one stream.

    Args:
        first: The part by which the archive is known.

    Attributes:
        starts: Where each part begins.

    Raises:
        OSError: A part cannot be read.

    Example:
        >>> for name in ("films.tar.aa", "films.tar.ab"):
        ...     _ = Path(name).write_bytes(b"a part")
        >>> stream = Joined("films.tar.aa")
        >>> stream.seek(4), stream.read(4), stream.starts
        (4, b'rta ', [0, 6])
    """

    def __init__(self, first: str) -> None:
        self._parts = [Path(part) for part in parts_of(first) or (first,)]
        sizes = [part.stat().st_size for part in self._parts]
        self.starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self._size = sum(sizes)
        self._open: tuple[int, BinaryIO] | None = None

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes from where the stream stands, fewer only at the end; all with -1."""
        left = max(0, self._size - self._at)
        left = left if size < 0 else min(size, left)
        found = []
        while left > 0:
            number = bisect.bisect_right(self.starts, self._at) - 1
            data = self._part(number).read(left)
            if not data:
                raise OSError("A part of a split archive became shorter.")
            found.append(data)
            self._at += len(data)
            left -= len(data)
        return b"".join(found)

    def _part(self, number: int) -> BinaryIO:
        if self._open is None or self._open[0] != number:
            if self._open is not None:
                self._open[1].close()
            self._open = (number, self._parts[number].open("rb"))
        self._open[1].seek(self._at - self.starts[number])
        return self._open[1]

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place counted from the beginning (0), from here (1) or from the end (2)."""
        self._at = offset + (0, self._at, self._size)[whence]
        if self._at < 0:
            raise OSError("There is nothing before the beginning.")
        return self._at

    def close(self) -> None:
        """Closes the part that is open."""
        if self._open is not None:
            self._open[1].close()
        super().close()


def opened_zip(stream: Joined) -> object:
    """The zip file that parts make, with its files where they are in the stream.

    A zip file of several parts counts places from the beginning of each part (APPNOTE.TXT, 4.4.16), one that
    was cut by other programs from the beginning of the whole.

    Args:
        stream: The parts.

    Raises:
        zipfile.BadZipFile: It is damaged.

    Example:
        ``opened_zip(Joined("films.zip")).infolist()``
    """
    import zipfile

    archive = zipfile.ZipFile(cast(BinaryIO, stream))
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, end - _LONGEST_END))
    record = stream.read().rpartition(_END_RECORD)[2]
    if int.from_bytes(record[:2], "little") == 0:  # the number of this part
        return archive
    shift = archive.start_dir - int.from_bytes(record[12:16], "little")
    for info in archive.infolist():
        if info.volume < len(stream.starts):
            info.header_offset += stream.starts[info.volume] - shift
        if hasattr(info, "_end_offset"):
            info._end_offset = None  # counted from the wrong places
    return archive
