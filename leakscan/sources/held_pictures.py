"""Files that are no image format and hold pictures all the same: texts, tables of pixels, PDFs, databases.

None of them is read. They are named, because what looks like an image and was not compared counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.sources.contents import open_place
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.pixel_statistics import bytes_look_like_pixels, look_like_pixels
from leakscan.sources.sought_pictures import (
    WAYS,
    has_sign,
    holds_picture,
    is_program,
    spells_image,
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
_LEAST_COLUMNS, _LEAST_ROWS, _LEAST_IN_A_ROW, _LEAST_LEVELS = 64, 48, 196, 16
_LEAST_PDF_SIDE = 256
_LEAST_PIXELS = 64
_PIECE = 1 << 18
_PARTS = (0.5, 0.25, 0.75)
"""Where in a file without a mark pixels are looked for: its first bytes may be of a header."""
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
_OF_NUMBERS = b"0123456789.,;:|+-eE \t\r\n[](){}\"'"
_ANY_NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?")
_NUMBER = re.compile(rb"\d{1,5}(?:\.\d*)?(?:[eE][+-]?\d{1,3})?")
_NESTED = re.compile(
    rb"\[\s*\[((?:\s*\d{1,5}(?:\.\d+)?,){27,}\s*[\d.]+)\s*\],\s*\[((?:\s*\d{1,5}(?:\.\d+)?,){27,}\s*[\d.]+)\s*\]"
)
"""The first rows of a picture as lists in a list."""
_NESTED_WITHIN = 1 << 19
_NUMBERS = re.compile(rb"\s*(?:" + _NUMBER.pattern + rb"[\s,;]+){16}")
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
    if is_for_people or lower.endswith(_NO_PICTURES) or head.startswith(_SOUNDS):
        return None
    return _pixels_without_a_mark(head, place)


def _pixels_without_a_mark(head: bytes, place: str) -> ImageError | None:
    """What to say of a file that nothing but its numbers tells from others: they vary as pixels do."""
    is_text, is_code = _is_text(head), is_program(head)
    for data in _pieces(head, place):
        if is_text and look_like_pixels(_numbers_in(data)):
            words = "Its numbers are likely the pixels of pictures, which are not read; save them as PNG."
            return ImageError("unsupported", words, left_out="table of pixels")
        if not is_text and not is_code and bytes_look_like_pixels(data):
            return _named("It has no mark of any format, and its bytes are likely pixels", BARE)
    return None


def _pieces(head: bytes, place: str) -> Iterator[bytes]:
    """A short file whole, of a longer one some pieces."""
    if len(head) < HEAD_BYTES:
        yield head
        return
    with open_place(place) as stream:
        size = stream.seek(0, os.SEEK_END)
        for part in _PARTS:
            stream.seek(min(int(size * part), max(0, size - _PIECE)))
            yield stream.read(_PIECE)
            if size <= _PIECE:
                return


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and len(head.translate(None, _CONTROLS)) == len(head)


def _numbers_in(text: bytes) -> npt.NDArray[np.float64]:
    """The numbers of a text, where it is little else than numbers; else none."""
    middle = text.partition(b"\n")[2] or text
    if len(middle.translate(None, _OF_NUMBERS)) > len(middle) // 10:
        return np.zeros(0)
    found = _ANY_NUMBER.findall(middle)[1:-1]  # the first and the last may be cut
    return np.array([float(number) for number in found], np.float64)


def _found(data: bytes, for_people: bool, is_opening: bool) -> ImageError | None:
    """What to say of a piece of a file that holds images in some way, ``None`` of others."""
    if is_opening and data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # two bytes a letter
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
    if is_opening and not for_people and _holds_pixels(data):
        error = "It is a table of the pixels of pictures, which is not read here; save them as PNG."
        return ImageError("unsupported", error, left_out="table of pixels")
    return None


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


def _holds_pixels(data: bytes) -> bool:
    """Whether a text is numbers that are likely the pixels of pictures."""
    if len(data) < _LEAST_PIXELS * len("pixel1"):  # most labels
        return False
    columns, _, rows = data.partition(b"\n")
    if b"pixel" in columns and len(re.findall(rb"\bpixel_?\d+", columns)) >= _LEAST_PIXELS:
        return True
    if b"pixels" in columns and re.search(rb"\bpixels\b", columns) and re.search(rb"(?:\d{1,3} ){196}", rows):
        return True
    if (rows_of_list := _NESTED.search(data[:_NESTED_WITHIN])) is not None:
        first, second = (row.count(b",") for row in rows_of_list.groups())
        return first == second and len(set(re.findall(rb"\d+", rows_of_list[0]))) > _LEAST_LEVELS
    if not _NUMBERS.match(columns[:600]):
        return False
    lines = [re.split(rb"[\s,;]+", line.strip()) for line in data.split(b"\n", _LEAST_ROWS)[:_LEAST_ROWS]]
    count = len(lines[0])
    full = [line for line in lines if len(line) == count and all(map(_NUMBER.fullmatch, line))]
    whole = all(all(map(bytes.isdigit, line)) for line in full)
    wide = whole and len(full) >= min(2, len(lines)) and count >= _LEAST_IN_A_ROW
    matrix = len(full) == _LEAST_ROWS and count >= _LEAST_COLUMNS
    return (wide or matrix) and len({n for line in full for n in line}) > _LEAST_LEVELS


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
