"""A part of a source that one of many machines fingerprints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from blake3 import blake3

from leakscan.errors import UsageError
from leakscan.types import ImageRef


@dataclass(frozen=True)
class Shard:
    """One of several parts of a source, in which every image stands once.

    An image belongs to a part by its path, so that all frames of one file, which are decoded together, stand
    in one part, and new files change no other's.

    Attributes:
        number: Which part, from 1.
        of: How many parts there are.

    Example:
        >>> Shard.parse("3/64")
        Shard(number=3, of=64)
        >>> Shard.parse("65/64")
        Traceback (most recent call last):
        ...
        leakscan.errors.UsageError: There is no shard 65/64; a shard is written as 3/64, from 1/64 to 64/64.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A part as users write it.

        Raises:
            UsageError: It is not of this form, or out of range.
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
        number, of = (int(part) for part in match.groups()) if match else (0, 0)
        if not 1 <= number <= of:
            n = max(of, 1) if match else 64
            raise UsageError(
                f"There is no shard {text}; a shard is written as {min(3, n)}/{n}, from 1/{n} to {n}/{n}.",
                code="bad_shard",
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, ref: ImageRef) -> bool:
        """Whether an image belongs to this part."""
        digest = blake3(ref.path.encode("utf-8", "surrogatepass")).digest(length=8)
        return int.from_bytes(digest, "big") % self.of == self.number - 1

    def taken(self, refs: Iterable[ImageRef]) -> list[ImageRef]:
        """The images of this part, in their order.

        Args:
            refs: All images of the source.
        """
        return [ref for ref in refs if self.holds(ref)]
