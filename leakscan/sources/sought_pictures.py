"""Beginnings of pictures anywhere in bytes: as they are, in base64, in hexadecimal numbers, and the like."""

from __future__ import annotations

import base64
import contextlib
import re
import zlib
from itertools import islice

from leakscan.sources.formats import has_image_suffix, recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.pixel_statistics import bytes_look_like_pixels
from leakscan.sources.written_bytes import written_bytes

_LEAST_SIDE = 32
_PROGRAMS = (
    b"\x7fELF", b"MZ", b"\xfe\xed\xfa", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe",
    b"\0asm",     b"dex\n", b"\0\1\0\0\0", b"OTTO", b"ttcf", b"wOFF", b"wOF2", b"true\0",
)  # fmt: skip
"""How programs and fonts begin, whose pictures are buttons and emoji."""
_COMPILED = b"\r\n"
"""The third and fourth byte of compiled Python."""
_PLAIN = re.compile(
    rb"PNG\r?\n\x1a\r?\n\0\0\0\rIHDR(?P<across>....)(?P<down>....)|\0\x10JFIF\0\1"
    rb"|\xff\xd8\xff(?:\xe0..JFIF\0|\xe1..(?:Exif\0|http:)|\xee..Adobe|\xdb\0[\x43\x84]\0)"
    rb"|\0{64}DICM\x02\0[\0\1\2]\0"
    rb"|II\*\0\x08\0\0\0[\x05-\x40]\0|MM\0\*\0\0\0\x08\0[\x05-\x40]"
    rb"|\xff\x4f\xff\x51\0|\x89HDF\r\n\x1a\n|BM....\0{4}..\0\0[\x28\x6c\x7c]\0\0\0"
    rb"|GIF8[79]a(?:(?:[\x20-\xff]\0|.[\1-\x0f]){2})[\x80-\xff].\0"
    rb"|\0\0\0\x0cjP  \r\n\x87\n"
    rb"|RIFF....WEBPVP8[ LX]",
    re.DOTALL,
)
_BASE64 = (
    rb"iVBORw0KGgo|\\?[/_]9j\\?[/_]4[AQ]|\\?[/_]9j\\?[/_]2wB|SUkqA[A-D]|TU0AK[gw]|UklGR[\w+/-]{5,7}V0VCU|R0lGODlh"
    rb"|A{80}BESUNN"
)
_IN_BASE64 = re.compile(_BASE64)
"""How PNG, JPEG, TIFF, WebP, GIF and DICOM begin in base64 of both alphabets, in JSON too."""
_LONG_BASE64 = re.compile(rb"(?:" + _BASE64 + rb")(?:[A-Za-z0-9+/_\s-]|\\[/nr]){4000}")
"""Three kilobytes of a picture."""
_APART = rb"(?:[\s,;:]*(?:0x|\\x)?)?"
_IN_HEX = re.compile(
    rb"89504e470d0a1a0a0000000d49484452|ffd8ffe0[0-9a-f]{4}4a464946|ffd8ffe1[0-9a-f]{4}45786966"
    rb"|4449434d020000|0{64}4449434d|" + _APART.join((b"89", b"50", b"4e", b"47", b"0d", b"0a")) + rb"|"
    + _APART.join((b"ff", b"d8", b"ff", b"(?:e0|e1|db|ee)", b"00")),
    re.IGNORECASE,
)  # fmt: skip
"""As one number, or byte by byte as programs and dumps have them."""
_IN_ESCAPES = re.compile(
    rb"\x89PNG\\r\\n|\\x89PNG|\\211PNG|\xff\xd8\xff[\xe0\xe1]\\0.(?:JFIF|Exif)|\\xff\\xd8\\xff|[=%]89PNG|([=%])ff\1d8\1ff"
    rb"|PNG\\r\\n\\(?:u00|x)1a|\\u00ff\\u00d8\\u00ff|\\211\\120\\116\\107|\\377\\330\\377|([=%])89\2(?:50|P)\2?(?:4e|N)",
    re.I,
)
_IN_BASE85 = re.compile(rb"iBL\{Q4GJ0x|M,6r;%14!|\|JeW[E-H]|s4IA[0-2]")
_UUENCODED = re.compile(
    rb"^(?:begin [0-7]{3} \S.*\r?\nM|begin-base64 [0-7]{3} \S|=ybegin .*name=)", re.MULTILINE
)
_IN_LISTS = re.compile(
    rb"(?:\A|[\[({\n\s])(?:137|-119),?\s*80,?\s*78,?\s*71,?\s*13,?\s"
    rb"|(?:\A|[\[({\n])\s*(?:255,?\s*216,?\s*255,?\s*2(?:19|2[45]|38)[,\s]|-1,?\s*-40,?\s*-1,?\s*-(?:37|3[12]|18)[,\s])"
    rb"|[\"']?0[\"']?:\s*(?:137,\s*[\"']?1[\"']?:\s*80|255,\s*[\"']?1[\"']?:\s*216)\b"
)
_LONG_RUN = 4000
_MOST_SPELT = 1 << 19
_GZIP = re.compile(rb"\x1f\x8b\x08[\0\x08]....[\0\2\4][\0-\x0d\xff]", re.DOTALL)
_MOST_PACKED = 8
_ANY_BASE64 = re.compile(rb"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/_-]{60,}(?:\\n|\s){0,6})+")
"""Bytes of any kind in base64, in one line or in many."""
_LEAST_RUN, _MOST_RUNS, _LEAST_SPELT = 400, 12, 200
WAYS = (
    "a dump of bytes", "base32", "base64", "base85", "escaped bytes", "hexadecimal numbers", "lists of bytes",
    "uuencode",
)  # fmt: skip
"""The ways in which texts write pictures out."""
_SIGNS = {
    "plain": (
        b"PNG\r\n\x1a", b"JFIF\0", b"Exif\0", b"http:", b"Adobe", b"\xff\xd8\xff\xdb", b"DICM\2",
        b"jP  \r",
        b"WEBPVP8", b"II*\0\x08", b"MM\0*\0\0\0\x08", b"\xff\x4f\xff\x51", b"\x89HDF\r", b"GIF87a", b"GIF89a",
        b"\0\0\x28\0\0\0", b"\0\0\x6c\0\0\0", b"\0\0\x7c\0\0\0", b"\x1f\x8b\x08\0", b"\x1f\x8b\x08\x08",
    ),
    "base64": (
        b"iVBORw0KGgo", b"9j/4", b"9j\\/4", b"9j_4", b"9j/2w", b"9j\\/2w", b"9j_2w", b"SUkqA", b"TU0AK",
        b"V0VCU", b"R0lGODlh", b"BESUNN",
    ),
    "uuencode": (b"begin ", b"begin-base64 ", b"=ybegin "),
    "hex": (
        b"89504e470d0a", b"89504E470D0A", b"4a464946", b"4A464946", b"45786966", b"4449434d02", b"4449434D02",
        b"89 50 4", b"8950 4", b"0x89, 0x50", b"0x89,0x50", b"ff d8 ff", b"FF D8 FF", b"ffd8 ff",
        b"0xff, 0xd8",
        b"0xff,0xd8", b"0xFF, 0xD8", b"0xFF,0xD8", b"89:50:4",
    ),
    "escapes": (
        b"PNG\\r", b"\\x89PNG", b"\\211PNG", b"\\xff\\xd8", b"\\xFF\\xD8", b"\xff\xd8\xff\xe0\\0",
        b"=89PNG", b"%89PNG", b"=FF=D8=FF", b"%FF%D8%FF", b"%ff%d8%ff", b"%89%50", b"\\211\\120",
        b"\\377\\330", b"\\u00ff\\u00d8", b"\\u0089PNG",
    ),
    "base85": (b"iBL{Q4GJ", b"M,6r;%14!", b"|JeW", b"s4IA"),
    "lists": (
        b"80, 78, 71", b"80,78,71", b"80 78 71", b"216, 255", b"216,255", b"216 255", b"-40, -1", b"-40,-1",
        b"-40 -1", b'"1": 80', b'"1":80', b'"1": 216', b'"1":216',
    ),
}  # fmt: skip
"""What each way of writing pictures cannot do without. To look for these alone is many times faster."""


_ALL_SIGNS = tuple(sign for signs in _SIGNS.values() for sign in signs)
_ANY_SIGN = re.compile(b"|".join(map(re.escape, _ALL_SIGNS)))
_SHORT = 4096


def has_sign(data: bytes) -> bool:
    """Whether bytes may hold a picture in any of the ways; without a sign none of the others is asked.

    Args:
        data: The bytes.

    Example:
        >>> has_sign(b'{"image": "iVBORw0KGgoAAAANSUhEUg"}'), has_sign(b"two films")
        (True, False)
    """
    if len(data) <= _SHORT:  # there one pass is several times faster
        return _ANY_SIGN.search(data) is not None
    for sign in _ALL_SIGNS:  # noqa: SIM110 - a plain loop, as it runs for every file that is no image
        if sign in data:
            return True
    return False


def _has(way: str, data: bytes) -> bool:
    return any(sign in data for sign in _SIGNS[way])


def is_program(data: bytes) -> bool:
    r"""Whether bytes are the beginning of a program or a font, whose pictures are buttons and emoji.

    Example:
        >>> is_program(b"\x7fELF\2"), is_program(b"GIF89a")
        (True, False)
    """
    return data.startswith(_PROGRAMS) or data[2:4] == _COMPILED


def holds_picture(data: bytes) -> bool:
    """Whether bytes that are no program hold the beginning of a picture file as it is.

    Args:
        data: The bytes, from the beginning of a file.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.new("L", (64, 64)).save(film := io.BytesIO(), "PNG")
        >>> holds_picture(b"some database" + film.getvalue()), holds_picture(b"some database")
        (True, False)
    """
    if is_program(data) or not _has("plain", data):
        return False
    for found in _PLAIN.finditer(data):
        if found["across"] is None:
            return True
        if min(int.from_bytes(found["across"]), int.from_bytes(found["down"])) >= _LEAST_SIDE:
            return True
    return any(_packs_image(data[found.start() :]) for found in islice(_GZIP.finditer(data), _MOST_PACKED))


def _packs_image(data: bytes) -> bool:
    """Whether bytes from the beginning of a gzip stream hold an image, or a tar file of some."""
    with contextlib.suppress(zlib.error):
        head = zlib.decompressobj(31).decompress(data[: 1 << 14], HEAD_BYTES)
        names_image = head[257:262] == b"ustar" and has_image_suffix(
            head[:100].rstrip(b"\0").decode("latin1")
        )
        return names_image or any(recognised(head, ""))
    return False


def written_picture(data: bytes, for_people: bool) -> str:
    """How a text writes pictures out, empty where it does not.

    Args:
        data: The text.
        for_people: Whether it is a page, a letter or a program, where a small picture is a logo.

    Example:
        >>> written_picture(b'{"image": "iVBORw0KGgoAAAANSUhEUg"}', False)
        'base64'
    """
    if _has("base64", data) and (_LONG_BASE64 if for_people else _IN_BASE64).search(data):
        return "base64"
    if _has("uuencode", data) and _UUENCODED.search(data):
        return "uuencode"
    if _has("hex", data) and (hexadecimal := _IN_HEX.search(data)) is not None:
        behind = data[hexadecimal.start() : hexadecimal.start() + _LONG_RUN]
        behind = re.sub(rb"0x|\\x|[\s,;:]", b"", behind)
        if (
            not for_people
            or len(re.sub(rb"[^0-9a-fA-F]", b"", behind)) > max(len(behind) * 3, _LONG_RUN) // 4
        ):
            return "hexadecimal numbers"
    if _has("escapes", data) and (escaped := _IN_ESCAPES.search(data)) is not None:
        behind = data[escaped.start() : escaped.start() + _LONG_RUN]
        if not for_people or max(behind.count(b"="), behind.count(b"%")) > _LONG_RUN // 10:
            return "escaped bytes"
    if not for_people and _has("base85", data) and _IN_BASE85.search(data):
        return "base85"
    if not for_people and _has("lists", data) and _IN_LISTS.search(data):
        return "lists of bytes"
    return ""


def spells_image(data: bytes, for_people: bool) -> bool:
    """Whether a text holds base64 of an image of any format, of an archive with one, or of bare pixels.

    Args:
        data: The text.
        for_people: Whether it is a page, a letter or a program, where a small picture is a logo.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.linear_gradient("L").save(film := io.BytesIO(), "BMP")
        >>> spells_image(b'{"film": "%b"}' % base64.b64encode(film.getvalue()), False)
        True
    """
    for run in islice(_ANY_BASE64.finditer(data), _MOST_RUNS):
        if run.end() - run.start() >= (_LONG_RUN if for_people else _LEAST_RUN) and _spells_image(run[0]):
            return True
    return False


def spelt_otherwise(data: bytes, for_people: bool) -> str:
    """In which rarer way a text spells an image, an archive with one, or bare pixels; empty where in none.

    Args:
        data: The text, from its beginning.
        for_people: Whether it is a page, a letter or a program, where a small picture is a logo.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.linear_gradient("L").save(film := io.BytesIO(), "BMP")
        >>> spelt_otherwise(base64.b32encode(film.getvalue()), False)
        'base32'
    """
    if len(data) < _LEAST_RUN:
        return ""
    for way, spelt in written_bytes(data[:_MOST_SPELT]):
        if len(spelt) >= (_LONG_RUN if for_people else _LEAST_SPELT) and _is_image(spelt):
            return way
    return ""


def _spells_image(text: bytes) -> bool:
    """Whether base64 spells an image."""
    plain = re.sub(rb"\\n|\s", b"", text[:_MOST_SPELT]).replace(b"-", b"+").replace(b"_", b"/")
    return _is_image(base64.b64decode(plain[: len(plain) // 4 * 4]))


def _is_image(data: bytes) -> bool:
    """Whether bytes are an image of any format, an archive or a stream with one, or bare pixels."""
    head = data[:HEAD_BYTES]
    if any(recognised(head, "")):
        return True
    if head[:4] == b"PK\3\4":
        length = int.from_bytes(head[26:28], "little")
        return has_image_suffix(head[30 : 30 + length].decode("latin1"))
    if head[:2] == b"\x1f\x8b" and _packs_image(data):
        return True
    with contextlib.suppress(zlib.error):
        data = zlib.decompressobj(47).decompress(data, _MOST_SPELT)
        if any(recognised(data[:HEAD_BYTES], "")):
            return True
    return bytes_look_like_pixels(data)
