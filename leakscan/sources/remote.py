"""Images behind a URL, by fsspec: object stores, web servers and whatever else it knows."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from leakscan.errors import OutputError, SourceError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import REMOTE, STEP
from leakscan.sources.exclusion import Exclusion
from leakscan.sources.left_out import HIDDEN, OF_TOOLS
from leakscan.sources.subject_rules import SubjectRule
from leakscan.types import ImageRef, Progress, Tags

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_WITH_FOLDERS = {"file", "local", "sftp", "ssh", "smb", "ftp", "hdfs", "webhdfs", "arrow_hdfs"}
_MARKS = (
    "ETag",
    "etag",
    "md5Hash",
    "checksum",
    "LastModified",
    "last_modified",
    "mtime",
    "updated",
    "created",
)


def is_url(text: str) -> bool:
    """Whether what the user typed is a URL.

    Example:
        >>> is_url("s3://bucket/films"), is_url("C:/films")
        (True, False)
    """
    return _URL.match(text) is not None


class RemoteSource:
    """Every image below a URL. An :class:`~leakscan.types.ImageSource`.

    Nothing is downloaded to disk: a file is taken into memory when it is read.

    Args:
        url: The folder or file.
        name: The name of the dataset in every table.
        options: The limits and choices for reading headers.
        exclude: Patterns of paths to leave out, relative to the URL.
        subjects: The rule by which paths name subjects, if the user gave one.

    Raises:
        SourceError: There is no such place, its package is missing, or it holds no files.

    Example:
        >>> import fsspec
        >>> with fsspec.open("memory://ward/notes.txt", "wb") as stream:
        ...     _ = stream.write(b"two films")
        >>> from leakscan.types import Silent
        >>> source = RemoteSource("memory://ward", "ward", DecodeOptions())
        >>> [(ref.path, ref.status) for ref in source.scan(Silent())]
        [('notes.txt', 'ignored')]
    """

    def __init__(
        self,
        url: str,
        name: str,
        options: DecodeOptions,
        exclude: Sequence[str] = (),
        subjects: SubjectRule | None = None,
    ) -> None:
        self.name = name
        self._options = options
        self._subjects = subjects
        self._left_out = Exclusion(exclude)
        self._files = self._listed(url)
        if not self._files:
            raise SourceError("{path} holds no files.", "Is the URL spelt as it should be?", path=url)

    def scan(self, progress: Progress) -> Iterator[ImageRef]:
        """Yields images, then DICOM images; see :class:`~leakscan.types.ImageSource`."""
        from leakscan.sources.collect import Collector
        from leakscan.sources.formats import has_image_suffix
        from leakscan.sources.packed import HIDDEN_SENTENCE
        from leakscan.sources.tool_folders import TOOL_SENTENCE, is_hidden, lies_in_tool_folder

        collector = Collector(Path(REMOTE), self._options, self._left_out.covers, self._declared)
        progress.start("scan", len(self._files))
        for name, url in self._files:
            if not any(map(is_hidden, name.split("/"))):
                yield from collector.add_place(remote_place(name, url), name, self._declared(name))
            elif has_image_suffix(name):
                in_tool = lies_in_tool_folder(name)
                words, kind = (TOOL_SENTENCE, OF_TOOLS) if in_tool else (HIDDEN_SENTENCE, HIDDEN)
                yield collector.problem(name, "unsupported", words, left_out=kind)
            progress.advance()
        yield from collector.finish()
        progress.finish()

    @property
    def patterns_met(self) -> set[str]:
        """The patterns to leave out that met something, once it was scanned."""
        return self._left_out.met

    def _declared(self, name: str) -> Tags:
        return Tags(subject=self._subjects.subject(name) if self._subjects else "")

    def _listed(self, url: str) -> list[tuple[str, str]]:
        """Names relative to the URL, and the URL of each file."""
        with _troubles_said(url):
            system, root = _system(url)
            one = system.isfile(root)
            found = [root] if one else system.find(root)
            above = root.rstrip("/").rpartition("/")[0] if one else root.rstrip("/")
        if one and url.lower().endswith((".csv", ".tsv")):
            raise SourceError("{path} is a manifest behind a URL.", "Download it to the images.", path=url)
        names = [(str(path).removeprefix(above).lstrip("/"), system.unstrip_protocol(path)) for path in found]
        return sorted(
            (name, where)
            for name, where in names
            if not name.rpartition("/")[2].startswith("._") and not self._left_out.covers(name)
        )


def has_file(url: str, name: str) -> bool:
    """Whether a folder behind a URL holds a file.

    Args:
        url: The folder.
        name: The name of the file in it.

    Raises:
        SourceError: The place cannot be asked.

    Example:
        >>> has_file("memory://nothing/here", "store.json")
        False
    """
    with _troubles_said(url):
        system, root = _system(url)
        return bool(system.isfile(f"{root.rstrip('/')}/{name}"))


def fetch(url: str, wanted: Callable[[str], bool], folder: Path) -> None:
    """Copies files of a folder behind a URL into a folder of this machine.

    Args:
        url: The folder.
        wanted: Which files, by their paths in it, with slashes.
        folder: Where they go. None goes elsewhere, whatever it is called.

    Raises:
        SourceError: It cannot be read.

    Example:
        ``fetch("s3://bucket/ward.fps", lambda name: name.endswith(".parquet"), Path("ward"))``
    """
    with _troubles_said(url):
        system, root = _system(url)
        root = root.rstrip("/")
        for path in system.find(root):
            name = str(path).removeprefix(root).lstrip("/")
            if wanted(name) and not {"", ".", ".."} & set(name.split("/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                system.get_file(path, str(folder / name))


def check_sendable(url: str) -> None:
    """Refuses a folder behind a URL in which nothing may be written: it writes an empty file and removes it.

    Raises:
        OutputError: There is no such place, its package is missing, or it refuses.

    Example:
        >>> check_sendable("memory://bucket/ward.fps")
    """
    with _troubles_said(url, "written"):
        system, root = _system(url)
        probe = f"{root.rstrip('/')}/.leakscan-{uuid.uuid4().hex}"
        _make_room(system, probe)
        system.pipe_file(probe, b"")
        system.rm_file(probe)


def names_behind(url: str) -> dict[str, int]:
    """The files of a folder behind a URL, by their paths in it, and their sizes in bytes.

    There are none where there is no such folder.

    Args:
        url: The folder.

    Raises:
        SourceError: The place cannot be asked.

    Example:
        >>> names_behind("memory://nothing/here")
        {}
    """
    with _troubles_said(url):
        system, root = _system(url)
        root = root.rstrip("/")
        found = system.find(root, detail=True)
        return {str(path).removeprefix(root).lstrip("/"): int(info["size"]) for path, info in found.items()}


def send(folder: Path, names: Sequence[str], url: str, gone: Sequence[str] = ()) -> None:
    """Copies files of a folder into a folder behind a URL, in order, and then removes others there.

    Args:
        folder: The folder of this machine.
        names: Which files, by their paths in it, with slashes.
        url: The folder behind the URL.
        gone: Files that are to go there.

    Raises:
        OutputError: The storage refuses or fails.

    Example:
        ``send(Path("ward.fps"), ["shards/00000001-7.parquet", "store.json"], "s3://bucket/ward.fps")``
    """
    with _troubles_said(url, "written"):
        system, root = _system(url)
        for name in names:
            target = f"{root.rstrip('/')}/{name}"
            _make_room(system, target)
            system.put_file(str(folder / name), target)
        for name in gone:
            system.rm_file(f"{root.rstrip('/')}/{name}")


def _make_room(system: Any, target: str) -> None:
    """Makes the folder of a file, where the storage has folders. An object store would make a bucket."""
    protocols = {system.protocol} if isinstance(system.protocol, str) else {*system.protocol}
    if protocols & _WITH_FOLDERS:
        system.makedirs(target.rpartition("/")[0], exist_ok=True)


@contextmanager
def _troubles_said(url: str, how: Literal["read", "written"] = "read") -> Iterator[None]:
    """Says in a sentence what a file system behind a URL raises.

    Raises:
        SourceError: It is to be read, and its package is missing, it refuses, or it fails.
        OutputError: The same where it is to be written.
    """
    kind = SourceError if how == "read" else OutputError
    try:
        yield
    except ImportError as error:
        raise kind(
            f"{{path}} cannot be {how}: {error}.", "Install the package and run again.", path=url
        ) from error
    except Exception as error:  # every file system of fsspec fails in its own ways
        what = type(error).__name__  # whose words may hold paths
        if _is_refusal(error):
            raise kind(
                f"{{path}} cannot be {how}: there is no permission, or no credentials were found ({what}).",
                "Set the credentials as its storage wants them (for S3 AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or a profile).",
                path=url,
            ) from error
        raise kind(f"{{path}} cannot be {how} ({what}).", "Check the URL.", path=url) from error


def _is_refusal(error: Exception) -> bool:
    """Whether a server, or the lack of a key, refuses access; every storage says it in its own way."""
    status = getattr(error, "status", getattr(error, "code", None))
    named = any(word in type(error).__name__ for word in ("Credential", "Forbidden", "Unauthorized", "Auth"))
    return isinstance(error, PermissionError) or named or status in (401, 403)


def remote_place(name: str, url: str) -> str:
    """The place of a file behind a URL; see :mod:`leakscan.sources.contents`.

    Example:
        >>> remote_place("a.png", "s3://films/a.png").split(STEP)[1:]
        ['a.png', 'us3%3A%2F%2Ffilms%2Fa.png']
    """
    return f"{REMOTE}{STEP}{name}{STEP}u{quote(url, safe='')}"


def remote_bytes(step: str, size: int) -> bytes:
    """The first bytes of a file behind a URL.

    Args:
        step: The last step of its place.
        size: How many bytes at most.

    Raises:
        OSError: It cannot be read, now at least.

    Example:
        ``remote_bytes("us3%3A%2F%2Ffilms%2Fa.png", 16)``
    """
    url = unquote(step[1:])
    try:
        system, path = _system(url)
        with system.open(path, "rb") as stream:
            found: bytes = stream.read(size)
            return found
    except Exception as error:
        raise _trouble(error) from error


def _trouble(error: Exception) -> OSError:
    """What a storage raises, as a disk would say it: the next run asks again."""
    number, words = getattr(error, "errno", None), getattr(error, "strerror", None)
    return OSError(number or errno.EIO, words or type(error).__name__)


@lru_cache(maxsize=4096)
def remote_mark(step: str) -> str:
    """A text that changes with a file behind a URL, as far as its server tells.

    Example:
        ``remote_mark("us3%3A%2F%2Ffilms%2Fa.png")``
    """
    url = unquote(step[1:])
    try:
        system, path = _system(url)
        info = system.info(path)
    except Exception as error:
        raise _trouble(error) from error
    return "-".join(str(info[key]) for key in ("size", *_MARKS) if info.get(key) is not None)


def _system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, str(path)
