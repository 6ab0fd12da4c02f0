"""A run folder: the only place that knows which files a run has, and what they are called.

It stands in this room, and not among the jobs, because jobs write run folders and the review reads them.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from filelock import FileLock

from leakscan import tables
from leakscan.errors import OutputError, StoreError, reason
from leakscan.harmless import one_line
from leakscan.writable import check_writable, written_whole

if TYPE_CHECKING:
    from leakscan.report.run_tables import RunTables


class _Summary(dict[str, Any]):
    """A summary, or a part of one, that says so where it lacks something: it is damaged, or of others."""

    def __init__(self, found: Mapping[str, Any], path: Path) -> None:
        super().__init__(found)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise StoreError(
            f"{{path}} does not say {key}: it is damaged, or another version made it.", path=self._path
        )


class RunFolder:
    """The folder of one run: four tables, ``summary.json`` and ``report.html``.

    Args:
        path: The folder; it need not exist.

    Example:
        >>> RunFolder(Path("run")).report.as_posix()
        'run/report.html'
    """

    MADE = ("*.parquet", "summary.json", "report.html", "*.csv", "*.ipynb", "*.part")
    """Patterns of what jobs put into a run folder: tables, pages, and the lists that are made of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._must_be_free = False

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A run folder that is there and complete.

        Raises:
            StoreError: ``path`` is no run folder.
        """
        folder = cls(path)
        if not folder.is_complete:
            raise StoreError(
                "{path} is no run folder: it has no summary.json.",
                "Make one with leakscan.compare(..., output=...).",
                code="no_run_folder",
                path=path,
            )
        return folder

    @property
    def summary(self) -> Path:
        """``summary.json``, the answer for machines; it is written last."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """``report.html``, the page for people."""
        return self.path / "report.html"

    @property
    def is_complete(self) -> bool:
        """Whether a run was written here to its end."""
        return self.summary.is_file()

    def table(self, name: str) -> Path:
        """The file of one of the four tables: ``images``, ``fingerprints``, ``pairs`` or ``subjects``."""
        return self.path / f"{name}.parquet"

    def read(self, schema: pa.Schema) -> pa.Table:
        """One of the four tables.

        Args:
            schema: Its schema in :mod:`leakscan.tables`.

        Raises:
            StoreError: The file is damaged or of another version.
        """
        return tables.read(self.table(tables.name_of(schema)), schema)

    def read_summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds; a key that it lacks is an error in a sentence, too.

        Raises:
            StoreError: The file is damaged.
        """
        try:
            text = self.summary.read_text(encoding="utf-8")
            found = json.loads(text, object_hook=lambda part: _Summary(part, self.summary))
        except (OSError, ValueError, RecursionError) as error:
            why = reason(error) if isinstance(error, OSError) else "it is damaged"
            raise StoreError(f"{{path}} cannot be read: {why}.", path=self.summary) from error
        if not isinstance(found, dict):
            raise StoreError("{path} cannot be read: it is damaged.", path=self.summary)
        from leakscan.report.summary_shape import misshapen  # whoever writes a run need not wait for it

        if place := misshapen(found):
            raise StoreError(
                f"{{path}} holds under {one_line(place)} what no run writes there: it is damaged, or another "
                "version made it.",
                path=self.summary,
            )
        return found

    def check_free(self, overwrite: bool) -> None:
        """Refuses a folder that cannot be written, before any work is done. Touches nothing.

        Raises:
            OutputError: It exists and may not be overwritten, holds files that are no run's, or lies where
                nothing may be written.
        """
        check_writable(self.path)
        self._must_be_free = not overwrite
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise OutputError(
                "{path} is a file, not a folder.",
                "Choose another output.",
                code="output_taken",
                path=self.path,
            )
        if not any(self.path.iterdir()):
            return
        if not overwrite:
            raise OutputError(
                "{path} exists already.",
                "Choose another output, or pass overwrite=True.",
                code="output_exists",
                path=self.path,
            )
        if not self.is_complete:
            raise OutputError(
                "{path} is not a run folder, so it is not overwritten.",
                "Choose another output.",
                code="output_taken",
                path=self.path,
            )

    def write(self, found: RunTables, summary: Mapping[str, Any], page: str) -> None:
        """Writes everything beside the folder and then moves it in, file by file.

        A run that fails leaves the folder as it was. ``summary.json`` goes first and comes back last,
        so a folder that has it is complete; files that are not a run's stay. Of two runs that write one
        folder at once, each writes beside it and the second moves its files in after the first.

        Args:
            found: The four tables.
            summary: What :func:`leakscan.report.summary.summarise` made of them.
            page: The text of ``report.html``.

        Raises:
            OutputError: The disk is full, the folder cannot be written, or another run has written it since
                it was found free.
        """
        name = self.path.name
        part = RunFolder(self.path.with_name(f"{name}.{os.getpid()}.part"))
        lock = FileLock(self.path.with_name(f"{name}.lock.part"))
        try:
            self._drop_old_parts()
            part.path.mkdir(parents=True)
            for table in (found.images, found.fingerprints, found.pairs, found.subjects):
                tables.write(table, part.table(tables.name_of(table.schema)))
            write_text(part.report, page)
            write_text(part.summary, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
            with lock, _removed(Path(lock.lock_file)):
                if self._must_be_free and self.is_complete:
                    raise OutputError(
                        "{path} was written by another run in the meantime.",
                        "Choose another output: what was read and compared is kept.",
                        path=self.path,
                    )
                self.path.mkdir(exist_ok=True)
                self.summary.unlink(missing_ok=True)
                for path in sorted(part.path.iterdir(), key=lambda p: p == part.summary):
                    path.replace(self.path / path.name)
        except OSError as e:
            raise OutputError(
                f"The run folder {{path}} cannot be written: {e.strerror or e}.", path=self.path
            ) from e
        finally:
            shutil.rmtree(part.path, ignore_errors=True)

    def _drop_old_parts(self) -> None:
        """Removes what runs left beside the folder that were killed while they wrote it."""
        for old in self.path.parent.glob(f"{glob.escape(self.path.name)}.*part"):
            number = old.name.removeprefix(self.path.name).strip(".").partition(".")[0]
            if number == "part" or (number.isdecimal() and not _is_alive(int(number))):
                shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _removed(lock: Path) -> Iterator[None]:
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    import psutil  # few commands write a run

    return process != os.getpid() and psutil.pid_exists(process)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all.

    Raises:
        OutputError: The file cannot be written.

    Example:
        >>> write_text(Path("report.html"), "<p>No leak was found.</p>")
        >>> [path.name for path in Path().iterdir()]
        ['report.html']
    """
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")
