"""Files that are no image format and hold pictures all the same: texts, tables of pixels, PDFs, databases.

None of them is read. They are named, because what looks like an image and was not compared counts.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
from collections.abc import Iterator

from leakscan.errors import ImageError
from leakscan.sources.contents import open_place
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.listed_numbers import lists_pixels
from leakscan.sources.pixel_statistics import bytes_look_like_pixels
from leakscan.sources.sought_pictures import (
    WAYS,
    has_sign,
    holds_picture,
    is_program,
    spells_image,
    spelt_otherwise,
    written_picture,
)

_FOR_PEOPLE = (
    ".html", ".htm", ".xhtml", ".mht", ".mhtml", ".eml", ".mbox", ".md", ".rst", ".rtf", ".js", ".mjs", ".ts",
    ".css", ".py", ".r", ".m", ".c", ".h", ".cpp", ".java", ".go", ".rs", ".sh", ".ps1", ".pl", ".rb", ".php",
    ".tex", ".log", ".map", ".qrc", ".doc", ".ppt", ".xls", ".msg", ".pyc", ".pem", ".crt",
)  # fmt: skip
"""Texts for people and programs, in which a small picture is a logo or an example."""
_OF_SYSTEMS = ("thumbs.db", ".ds_store", "desktop.ini", "ehthumbs.db", "thumbs.db:encryptable")
"""Files in which a system keeps small copies of the pictures beside them."""
_ZARR = ("zarr.json", ".zarray", "attributes.json")
_ZARR_ARRAY = (rb'"node_type"\s*:\s*"array"', rb'"chunks"\s*:', rb'"blockSize"\s*:')
_SEARCHED = 1 << 21
"""The first bytes of a file that are searched for pictures."""
_WINDOWS, _WINDOW = 8, 1 << 18
"""How many more places of a long file are searched, and how far each."""
_DICOM_JSON = re.compile(rb'"7FE0,?0010"\s*:\s*\{', re.IGNORECASE)
_DICOM_XML = re.compile(
    rb"<(?:\w+:)?(?:DicomAttribute|attr|element)\s[^>]*tag=[\"']\(?7FE0,?0010", re.IGNORECASE
)
_DICOM_DUMP = re.compile(
    rb"^\s*\((?:7fe0,0010\)\s+[A-Z?]{2}|fffe,e000\)\s+pi)\s+(?:=\S|(?:[0-9a-f]{2,4}\\){63})",
    re.IGNORECASE | re.MULTILINE,
)
"""Pixels as dcmdump and its like write them, where they are not cut short; or the name of their file."""
_LEAST_LISTED, _LEAST_FOR_PEOPLE = 400, 4096
"""Numbers of a list that are worth a look; in a page or a program, small pictures are logos."""
_LEAST_PDF_SIDE = 256
_LEAST_PIXELS = 64
_PIECE, _PIECE_OF_TEXT = 1 << 18, 1 << 20
_LETTERS = 128
_PARTS = (0.5, 0.25, 0.75, 1.0)
"""Where in a file without a mark pixels are looked for: its first bytes may be of a header."""
_PARTS_OF_TEXTS = (0, 3)
"""Which of these are read of a text."""
_NO_PICTURES = (
    ".trk", ".tck", ".trx", ".gii", ".stl", ".ply", ".obj", ".off", ".white", ".pial", ".inflated",
    ".sphere", ".reg", ".smoothwm", ".orig", ".annot", ".label", ".curv", ".thickness", ".area",
    ".volume", ".sulc", ".w", ".wav", ".pcm", ".mp3", ".flac", ".edf", ".bdf", ".gdf", ".eeg", ".vhdr",
    ".vmrk", ".fif", ".bvec", ".bval", ".idx", ".faiss", ".index", ".onnx", ".safetensors", ".tflite",
    ".ttf", ".otf", ".a", ".o", ".so",
)  # fmt: skip
"""Meshes, tracts, sounds, signals, networks and programs: smooth numbers, and no pictures."""
_SOUNDS = (
    b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"!<arch>", b"ply", b"solid", b"0       ",
    b"\xff\xfb",
)  # fmt: skip
"""How sounds, meshes, signals and libraries of programs begin."""
_CONTROLS = bytes(n for n in range(32) if n not in b"\t\n\r\f\v\x1b")
_ASCII = bytes(range(128))
_MOSTLY_ASCII = 4
_PDF_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_MOST_OF_PDF = 1 << 25


BARE = "file of bare pixels"
"""What a file is called that nothing but its numbers tells from others."""
HELD = {
    "PDF with pictures": "save them as PNG",
    "Zarr array": "save its images as PNG, TIFF or NIfTI",
    "file of CIFAR's pictures": "save them as PNG",
    BARE: "save them as PNG",
    "DICOM written as text": "save it as a DICOM file",
    "file with pictures inside": "save them as files",
    "table of pixels": "save them as PNG",
    **{f"text with images in {way}": "save them as files" for way in WAYS},
}
"""What is named by its content, and what to do about it."""


def unread_content(name: str, head: bytes, place: str) -> ImageError | None:
    """What to say of a file that holds pictures in a way that is not read, ``None`` of all others.

    Args:
        name: The file's name in its source.
        head: Its first bytes, 2,048 where it has as many.
        place: Where its bytes are; see :mod:`leakscan.sources.contents`.

    Raises:
        OSError: It cannot be read.

    Example:
        >>> text = b'{"image": "iVBORw0KGgoAAAANSUhEUg"}'
        >>> unread_content("films.jsonl", text, "films.jsonl").left_out
        'text with images in base64'
    """
    lower, own = name.lower(), name.rpartition("/")[2]
    if own.lower() in _OF_SYSTEMS:
        return None
    if head.startswith(b"%PDF-"):
        if not _holds_films(place):
            return None
        return _named("It is a PDF with pictures", "PDF with pictures")
    if own in _ZARR and any(re.search(mark, head) for mark in _ZARR_ARRAY):
        return _named("It describes a Zarr array", "Zarr array")
    if lower.endswith(".bin") and _is_cifar(place):
        words = "It has the length of a file of CIFAR's pictures"
        return _named(words, "file of CIFAR's pictures")
    is_for_people = lower.endswith(_FOR_PEOPLE)
    for number, data in enumerate(_searched(head, place)):
        if (found := _found(data, is_for_people, number == 0)) is not None:
            return found
    if lower.endswith(_NO_PICTURES) or head.startswith(_SOUNDS) or (is_for_people and not _is_text(head)):
        return None
    return _pixels_without_a_mark(head, place, is_for_people)


def _pixels_without_a_mark(head: bytes, place: str, for_people: bool) -> ImageError | None:
    """What to say of a file that nothing but its numbers tells from others: they vary as pixels do."""
    is_text, is_code = _is_text(head), is_program(head)
    for number, data in enumerate(_pieces(head, place, _PIECE_OF_TEXT if is_text else _PIECE)):
        if (
            is_text
            and number in _PARTS_OF_TEXTS
            and lists_pixels(data, _LEAST_FOR_PEOPLE if for_people else _LEAST_LISTED)
        ):
            words = "Its numbers are likely the pixels of pictures, which are not read; save them as PNG."
            return ImageError("unsupported", words, left_out="table of pixels")
        if (not is_text or b"\n" not in head) and not is_code and bytes_look_like_pixels(data):
            return _named("It has no mark of any format, and its bytes are likely pixels", BARE)
    return None


def _pieces(head: bytes, place: str, length: int) -> Iterator[bytes]:
    """A short file whole, of a longer one some pieces."""
    if len(head) < HEAD_BYTES:
        yield head
        return
    with open_place(place) as stream:
        size = stream.seek(0, os.SEEK_END)
        for part in _PARTS:
            stream.seek(min(int(size * part), max(0, size - length)))
            yield stream.read(length)
            if size <= length:
                return


def _is_text(head: bytes) -> bool:
    """Whether bytes are a text: pixels of a picture without black may have no control letters either."""
    if b"\0" in head or len(head.translate(None, _CONTROLS)) != len(head):
        return False
    foreign = head.translate(None, _ASCII)
    if len(foreign) * _MOSTLY_ASCII > len(head):
        with contextlib.suppress(UnicodeDecodeError):
            codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut
            return True
        return False
    return True


def _found(data: bytes, for_people: bool, is_opening: bool) -> ImageError | None:
    """What to say of a piece of a file that holds images in some way, ``None`` of others."""
    if is_opening and _has_two_bytes_a_letter(data[:_LETTERS]):
        data = data.replace(b"\0", b"")
    is_signed = has_sign(data)
    if is_signed and holds_picture(data if is_opening else b" " + data):
        error = "It holds pictures among other things, which are not read there; save them as files."
        return ImageError("unsupported", error, left_out="file with pictures inside")
    as_text = (_DICOM_JSON, _DICOM_XML, _DICOM_DUMP)
    if is_opening and b"0010" in data and any(form.search(data) for form in as_text):
        return _named("It is DICOM written as text", "DICOM written as text")
    way = written_picture(data, for_people) if is_signed else ""
    if way or (_is_text(data[:HEAD_BYTES]) and spells_image(data, for_people)):
        way = way or "base64"
        error = f"It is a text that holds images in {way}, which are not read here; save them as files."
        return ImageError("unsupported", error, left_out=f"text with images in {way}")
    if is_opening and _is_text(data[:HEAD_BYTES]) and (way := spelt_otherwise(data, for_people)):
        error = f"It is a text that holds images in {way}, which are not read here; save them as files."
        return ImageError("unsupported", error, left_out=f"text with images in {way}")
    if is_opening and not for_people and _names_pixels(data):
        error = "It is a table of the pixels of pictures, which is not read here; save them as PNG."
        return ImageError("unsupported", error, left_out="table of pixels")
    return None


def _has_two_bytes_a_letter(opening: bytes) -> bool:
    """Whether a text is in UTF-16, with or without its mark."""
    if opening[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return any(
        len(opening) >= _LETTERS and not any(opening[first::2]) and _is_text(opening[1 - first :: 2])
        for first in (0, 1)
    )


def _named(what: str, left_out: str) -> ImageError:
    sentence = f"{what}, which is not read here; {HELD[left_out]}."
    return ImageError("unsupported", sentence, left_out=left_out)


def _searched(head: bytes, place: str) -> Iterator[bytes]:
    """What is searched of a file: its beginning, and where it is long, some places of the rest."""
    if len(head) < HEAD_BYTES:
        yield head
        return
    with open_place(place) as stream:
        yield stream.read(_SEARCHED)
        size = stream.seek(0, os.SEEK_END)
        for number in range(1, _WINDOWS + 1):
            start = _SEARCHED + (size - _SEARCHED - _WINDOW) * number // _WINDOWS
            if size <= _SEARCHED:
                return
            stream.seek(max(_SEARCHED, start))
            yield stream.read(_WINDOW)


def _names_pixels(data: bytes) -> bool:
    """Whether a table calls its columns pixels."""
    if len(data) < _LEAST_PIXELS * len("pixel1"):  # most labels
        return False
    columns, _, rows = data.partition(b"\n")
    if b"pixel" in columns and len(re.findall(rb"\bpixel_?\d+", columns)) >= _LEAST_PIXELS:
        return True
    named = b"pixels" in columns and re.search(rb"\bpixels\b", columns) is not None
    return named and re.search(rb"(?:\d{1,3} ){196}", rows) is not None


def _is_cifar(place: str) -> bool:
    """Whether a file is as long as many pictures of CIFAR-10 or CIFAR-100 with their labels."""
    with open_place(place) as stream:
        size = stream.seek(0, os.SEEK_END)
    return size >= 307_300 and (size % 3073 == 0 or size % 3074 == 0)


def _holds_films(place: str) -> bool:
    """Whether a picture in a PDF is large enough to be a film, or pictures are most of the file.

    What is smaller is a logo or a sign in a text.
    """
    with open_place(place) as stream:
        data = stream.read(_MOST_OF_PDF)
    held = 0
    for found in _PDF_STREAM.finditer(data):
        opening = data[max(0, found.start() - 800) : found.start()].rpartition(b"obj")[2]
        if not re.search(rb"/Subtype\s*/Image\b", opening) or re.search(rb"/ImageMask\s+true", opening):
            continue
        end = data.find(b"endstream", found.end())
        held += (len(data) if end < 0 else end) - found.end()
        sides = [
            re.search(rb"/" + name + rb"\s+(\d+)(?!\s+\d+\s+R)", opening) for name in (b"Width", b"Height")
        ]
        if all(side is None or int(side[1]) >= _LEAST_PDF_SIDE for side in sides):
            return True
    return 2 * held > len(data)
