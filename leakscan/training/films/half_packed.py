"""An array of packed films that is being made, with a journal beside it, so that a kill costs seconds."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

_SECONDS = 2.0  # between two notes in the journal

Row = dict[str, Any]


class HalfPacked:
    """Pictures of equal size, one after another in a file, and one row for each image, packed or not.

    Every two seconds the pictures are brought to the disk, then their rows to a journal: a row in the journal
    is true of the file, whenever the process is killed.

    Args:
        part: The file to write the pictures to.
        header: Bytes that are left free at its start.
        size: Bytes of a picture.

    Attributes:
        part: The file of the pictures.
        rows: The rows of all images so far.
        pictures: How many of them are packed.

    Example:
        >>> half = HalfPacked(Path("films.npy.part"), header=4, size=2)
        >>> half.begin(["a.png", "b.png"])
        []
        >>> half.add({"path": "a.png", "error": None}, np.array([1, 2], np.uint8))
        >>> half.end(b"HEAD")
        >>> again = HalfPacked(Path("films.npy.part"), header=4, size=2)
        >>> [row["path"] for row in again.begin(["a.png", "b.png"])], again.pictures
        (['a.png'], 1)
    """

    def __init__(self, part: Path, header: int, size: int) -> None:
        self.part, self.rows, self.pictures = part, list[Row](), 0
        self._journal = part.with_name(part.name.removesuffix(".part") + ".rows.part")
        self._header, self._size = header, size
        self._stream: IO[bytes] | None = None
        self._noted, self._noted_at = 0, time.monotonic()

    def begin(self, paths: Sequence[str]) -> list[Row]:
        """Opens the file, and returns the rows of the images that are done.

        Args:
            paths: The paths of all images, in the order in which they are added. Rows of other paths, and all
                that follow them, are made anew.

        Raises:
            OSError: The file cannot be written.
        """
        self.rows, self.pictures = self._known(paths)
        self._noted = len(self.rows)
        self.part.parent.mkdir(parents=True, exist_ok=True)
        with self._journal.open("w", encoding="utf-8") as journal:
            journal.writelines(f"{json.dumps(row)}\n" for row in self.rows)
        self._stream = self.part.open("r+b" if self.part.is_file() else "w+b")
        self._stream.truncate(self._header + self.pictures * self._size)
        self._stream.seek(0, os.SEEK_END)
        return self.rows

    def add(self, row: Row, picture: npt.NDArray[np.uint8] | None) -> None:
        """Adds the next image, with its picture where its row has no error.

        Raises:
            OSError: It cannot be written.
        """
        assert self._stream is not None
        if picture is not None:
            self._stream.write(picture.tobytes())
            self.pictures += 1
        self.rows.append(row)
        if time.monotonic() - self._noted_at >= _SECONDS:
            self._note()

    def end(self, header: bytes) -> None:
        """Writes the header, and brings everything to the disk.

        Raises:
            OSError: It cannot be written.
        """
        assert self._stream is not None
        self._note()
        self._stream.seek(0)
        self._stream.write(header)
        self._stream.close()

    def forget(self) -> None:
        """Removes the journal, and the file where it still has this name."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
        for path in (self.part, self._journal):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _note(self) -> None:
        assert self._stream is not None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.writelines(f"{json.dumps(row)}\n" for row in self.rows[self._noted :])
            journal.flush()
            os.fsync(journal.fileno())
        self._noted, self._noted_at = len(self.rows), time.monotonic()

    def _known(self, paths: Sequence[str]) -> tuple[list[Row], int]:
        """The rows of the journal that are true of the file, and how many pictures they have."""
        rows, pictures = list[Row](), 0
        try:
            room = (self.part.stat().st_size - self._header) // self._size
            lines = self._journal.read_text(encoding="utf-8").split("\n")[:-1]
            for line, path in zip(lines, paths, strict=False):
                row = json.loads(line)
                packed = pictures + (row["error"] is None)
                if row["path"] != path or packed > room:
                    break
                rows.append(row)
                pictures = packed
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no journal, or a damaged line: what was read before it stays
        return rows, pictures
