"""The file of many frames that was read last, kept open, so that its next frame need not begin at the first.

Frames of an animation build on each other, the pages of a TIFF are a chain, and a compressed volume must be
inflated up to the time point that is wanted. To begin anew for every frame would take as long as the square
of their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from leakscan.sources.contents import REMOTE, is_inside, mark_of

T = TypeVar("T")


@dataclass(frozen=True)
class _Held(Generic[T]):
    """What is open, and of which file, as it was then."""

    key: tuple[str, str, str]
    opened: T
    closing: ExitStack


class KeptOpen(Generic[T]):
    """Opens files, and keeps the last one of several frames open.

    What another thread holds at the moment is opened a second time. A file that has changed since is opened
    anew, and so is one whose reading failed.

    Args:
        opens: Opens a file; its second argument is what :meth:`of` was given as ``way``.
        has_more: Whether an open file has further frames, so that it is worth keeping.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> streams = KeptOpen(lambda place, way: open(place, "rb"), lambda stream: True)
        >>> with streams.of("film.png") as stream:
        ...     first = stream.read(3)
        >>> with streams.of("film.png") as stream:
        ...     first, stream.read(3)
        (b'pix', b'els')
        >>> streams.close()
    """

    def __init__(
        self,
        opens: Callable[[str | os.PathLike[str], str], AbstractContextManager[T]],
        has_more: Callable[[T], bool],
    ) -> None:
        self._opens, self._has_more = opens, has_more
        self._held: list[_Held[T]] = []

    @contextmanager
    def of(
        self, place: str | os.PathLike[str], way: str = "", serves: Callable[[T], bool] = lambda _: True
    ) -> Iterator[T]:
        """A file, as it was left when it was last read, or as it is when it is opened.

        Args:
            place: Where its bytes are; see :mod:`leakscan.sources.contents`.
            way: What else decides how it is opened, such as its format.
            serves: Whether what is open can still be used. Of an animation it cannot where it stands behind
                the frame that is wanted.

        Raises:
            OSError: It cannot be opened.
            ImageError: What opening it raises.
        """
        name = os.fspath(place)
        key = (name, way, "" if name.startswith(REMOTE) else mark_of(name))
        held = self._held.pop() if self._held else None
        if held is not None and (held.key != key or not key[2] or not serves(held.opened)):
            held.closing.close()
            held = None
        if held is None:
            closing = ExitStack()
            held = _Held(key, closing.enter_context(self._opens(place, way)), closing)
        try:
            yield held.opened
            is_kept = bool(key[2]) and self._has_more(held.opened) and not _is_large_inside(name)
        except BaseException:
            held.closing.close()
            raise
        if is_kept and not self._held:
            self._held.append(held)
        else:
            held.closing.close()

    def close(self) -> None:
        """Closes what is kept open."""
        while self._held:
            self._held.pop().closing.close()


def _is_large_inside(place: str) -> bool:
    from leakscan.sources.unpacking import is_kept_whole

    return is_inside(place) and not is_kept_whole(place)
