"""Bytes that a text spells out: in base32, as a dump of ``od``, ``hexdump`` or ``xxd``, as bits, as hex."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise

_LEAST = 300
"""Letters of what is worth a try."""
_MOST = 1 << 18
_BASE32 = re.compile(rb"(?:[A-Z2-7]{40,}=*[\s\"',\\n]{0,4})+|(?:[a-z2-7]{40,}=*\s{0,2})+")
_BASE32_HEX = re.compile(rb"(?:[0-9A-V]{40,}=*[\s\"',]{0,4})+")
_TO_BASE32 = bytes.maketrans(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_BITS = re.compile(rb"(?:[01]{8}[\s,]{0,2}){60,}|[01]{480,}")
_HEX = re.compile(rb"(?:(?:0x|\\x|#)?[0-9a-fA-F]{2}[\s,;:\"\]\[]{0,4}){200,}")
_BETWEEN = b" \t\r\n,;:\"'=\\nx#[]"
_UPPER, _LOWER, _DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz", b"0123456789"
_SAMPLE, _OTHERS = 2000, 0.03
_OFFSET = re.compile(rb"([0-9a-fA-F]{6,16})(:?)[ \t]+(\S.*)")
_LINES = 2


def written_bytes(text: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes that a text may spell out, and in which way, in every way that fits.

    Args:
        text: The text, from its beginning.

    Example:
        >>> [(way, data[:4]) for way, data in written_bytes(base64.b32encode(b"film" * 99))]
        [('base32', b'film')]
    """
    if (lines := _dump(text)) is not None:
        yield from (("a dump of bytes", data) for data in _of_dump(lines))
        return
    middle = text[len(text) // 2 - _SAMPLE // 2 :][:_SAMPLE]
    for pattern, letters, shifted in _LETTERS_OF_BASE32:
        if not _is_made_of(middle, letters):
            continue
        run = pattern.search(text)
        if run is not None and run.end() - run.start() >= _LEAST:
            spelt = re.sub(rb"[^A-Za-z0-9]", b"", run[0].replace(b"\\n", b""))[:_MOST].upper()
            spelt = spelt.translate(_TO_BASE32) if shifted else spelt
            with contextlib.suppress(ValueError):
                yield "base32", base64.b32decode(spelt[: len(spelt) // 8 * 8])
    if _is_made_of(middle, b"01") and (run := _BITS.search(text)) is not None:
        yield "a dump of bytes", _from_bits(run[0])
    elif _is_made_of(middle, _DIGITS + b"abcdefABCDEF") and (run := _HEX.search(text)) is not None:
        digits = re.sub(rb"[^0-9a-fA-F]", b"", re.sub(rb"0x|\\x", b"", run[0]))[:_MOST]
        yield "hexadecimal numbers", bytes.fromhex(digits[: len(digits) // 2 * 2].decode())


_LETTERS_OF_BASE32 = (
    (_BASE32, _UPPER + b"234567", False),
    (_BASE32, _LOWER + b"234567", False),
    (_BASE32_HEX, _DIGITS + _UPPER[:22], True),
)


def _is_made_of(sample: bytes, letters: bytes) -> bool:
    """Whether a text is little else than some letters and what stands between them."""
    return len(sample.translate(None, letters + _BETWEEN)) <= _OTHERS * len(sample)


def _from_bits(text: bytes) -> bytes:
    digits = re.sub(rb"[^01]", b"", text)[:_MOST]
    return int(digits, 2).to_bytes((len(digits) + 7) // 8) if digits else b""


def _dump(text: bytes) -> list[tuple[bytes, bool]] | None:
    """What stands behind the offsets of a dump, line by line, and whether its letters stand behind that."""
    if _OFFSET.match(text) is None:
        return None
    lines: list[tuple[bytes, bool]] = []
    offsets: list[bytes] = []
    for line in text[: 4 * _MOST].splitlines():
        if (found := _OFFSET.fullmatch(line.rstrip())) is None:
            if line.strip() in (b"*", b"") or len(offsets) > _LINES:
                continue
            return None
        offsets.append(found[1])
        lines.append((line[found.start(3) :], found[2] == b":"))
    rising = all(a < b for a, b in pairwise(offsets))
    same = len(set(map(len, offsets[:_LINES]))) == 1
    return lines if len(lines) > 2 * _LINES and rising and same else None


def _of_dump(lines: list[tuple[bytes, bool]]) -> Iterator[bytes]:
    """The bytes of a dump, in both orders where it is of words."""
    cut = [line.partition(b"  |")[0] if not named else line.partition(b"  ")[0] for line, named in lines]
    rows = [line.split() for line in cut]
    first = rows[0]
    sizes = {len(token) for token in first}
    joined = b"".join(first)
    bits = len(sizes) == 1 and not joined.strip(b"01") and len(first[0]) == 8
    with contextlib.suppress(ValueError, OverflowError):
        if bits:
            yield _from_bits(b"".join(b"".join(row) for row in rows))
            return
        for base, digits in ((16, {2: 1, 4: 2, 8: 4, 16: 8}), (8, {3: 1, 6: 2, 11: 4}), (10, {5: 2})):
            width = digits.get(len(first[0])) if len(sizes) == 1 else None
            if width is None:
                continue
            with contextlib.suppress(ValueError, OverflowError):
                numbers = [int(token, base) for row in rows for token in row]
                yield b"".join(n.to_bytes(width, "little") for n in numbers)
                if width > 1:
                    yield b"".join(n.to_bytes(width, "big") for n in numbers)
    with contextlib.suppress(ValueError):
        numbers = [int(token) for row in rows for token in row]
        if all(-128 <= n < 256 for n in numbers):
            yield bytes(n & 255 for n in numbers)
    with contextlib.suppress(ValueError, KeyError):
        yield b"".join(_letters(line) for line, _ in lines)


_ESCAPED = {
    b"\\0": 0, b"\\a": 7, b"\\b": 8, b"\\t": 9, b"\\n": 10, b"\\v": 11, b"\\f": 12, b"\\r": 13, b"": 32,
}  # fmt: skip


def _letters(line: bytes) -> bytes:
    """The bytes of a line of ``od -c``, which gives each four places."""
    cells = [line[max(0, at - 3) : at + 1].strip() for at in range(_shift(line), len(line) + 3, 4)]
    return bytes(
        cell[0] if len(cell) == 1 else _ESCAPED[cell] if cell in _ESCAPED else int(cell, 8) for cell in cells
    )


def _shift(line: bytes) -> int:
    """Where the first cell of a line ends: ``line`` begins with its first letter that is no space."""
    return len(line.split(maxsplit=1)[0]) - 1
