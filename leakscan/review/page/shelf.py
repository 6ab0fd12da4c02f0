"""What was rendered, kept on disk and in memory under a bounded size."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

_IN_MEMORY = 64 << 20  # bytes
_SWEEP_SHARE = 0.8  # of the bound that is left after old files went


class Shelf:
    """Rendered pictures by name; the oldest ones make room.

    The names of its files are hashes, so that the folder shows no path and no subject. The pictures
    themselves are personal data, as the images are.

    Args:
        folder: The folder to keep them in; it is made when the first is kept.
        most_bytes: The most that the folder may hold. 0 keeps nothing on disk.

    Example:
        >>> shelf = Shelf(Path("pictures"), most_bytes=1000)
        >>> shelf.get("a", lambda: b"made"), shelf.get("a", lambda: b"made again")
        (b'made', b'made')
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0
        self._on_disk = self._measured()

    def has(self, name: str) -> bool:
        """Whether something of that name is at hand."""
        with self._lock:
            return name in self._memory or self._file(name).exists()

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What is kept under a name; it is made where nothing is, by one thread while others wait.

        Args:
            name: A name that says all that its content depends on.
            make: Makes the content. What it raises is raised here, and nothing is kept.
        """
        with self._lock:
            own = self._making.setdefault(name, threading.Lock())
        with own:
            found = self._known(name)
            if found is None:
                found = make()
                self._write(name, found)
            with self._lock:
                self._hold(name, found)
                self._making.pop(name, None)
            return found

    def _file(self, name: str) -> Path:
        return self._folder / f"{blake3(name.encode()).hexdigest()[:32]}.bin"

    def _known(self, name: str) -> bytes | None:
        with self._lock:
            if name in self._memory:
                self._memory.move_to_end(name)
                return self._memory[name]
        file = self._file(name)
        try:
            found = file.read_bytes()
            os.utime(file)  # used last, so swept last
        except OSError:
            return None
        # A digest in front tells a file that was cut short, or is somebody else's.
        return found[32:] if blake3(found[32:]).digest() == found[:32] else None

    def _hold(self, name: str, content: bytes) -> None:
        old = self._memory.pop(name, b"")
        self._memory[name] = content
        self._held += len(content) - len(old)
        while self._held > _IN_MEMORY and len(self._memory) > 1:
            self._held -= len(self._memory.popitem(last=False)[1])

    def _write(self, name: str, content: bytes) -> None:
        """Keeps it on disk; a disk that is full or read-only only makes the page slower."""
        if len(content) > self._most:
            return
        file = self._file(name)
        part = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_bytes(blake3(content).digest() + content)
            part.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return
        with self._lock:
            self._on_disk += len(content) + 32
            if self._on_disk > self._most:
                self._sweep()

    def _measured(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _files(self) -> list[tuple[float, int, Path]]:
        """When each file was used last, and its size."""
        found = []
        for path in self._folder.glob("*.bin") if self._folder.is_dir() else ():
            try:
                info = path.stat()
            except OSError:
                continue
            found.append((info.st_mtime, info.st_size, path))
        return sorted(found)

    def _sweep(self) -> None:
        files = self._files()
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._most * _SWEEP_SHARE:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._on_disk = total
