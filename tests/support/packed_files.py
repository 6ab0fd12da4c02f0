"""Pictures that lie in something else: in parts of archives, in documents, in columns of tables."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from support.makers import Picture
from support.odd_files import (
    EITHER,
    Maker,
    OddFile,
    _bytes,
    _write,
    arrow_stream,
    as_text,
    dicom,
    parquet,
    png,
    tarred,
    texture,
    zipped,
)
from support.rare_files import NamedFile, by_pillow


def _cut(data: bytes, count: int) -> list[bytes]:
    """Bytes in parts of one size, the last of which may be shorter."""
    size = -(-len(data) // count)
    return [data[at : at + size] for at in range(0, len(data), size)]


def parts(name: str, ends: str, make: Callable[[Picture], bytes]) -> Maker:
    """A file in parts.

    Args:
        name: What the names of all parts begin with.
        ends: How their names end, in one text.
        make: Makes the file.
    """

    def write(folder: Path, pixels: Picture) -> None:
        for end, data in zip(ends.split(), _cut(make(pixels), len(ends.split())), strict=True):
            _write(folder / f"{name}{end}", data)

    return write


def spanned_zip(pixels: Picture, size: int = 1500) -> list[bytes]:
    """A zip file in parts that count from their own beginnings, as WinZip and Info-ZIP write them."""
    noise = np.random.default_rng(int(pixels[0, 0])).bytes(5184)
    body, entries = b"PK\7\x08", []
    for name, data in ((b"notes.bin", noise), (b"in/a.png", png(pixels))):
        header = struct.pack("<5H3I2H", 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(name), 0)
        entries.append((len(body), header, name))
        body += b"PK\3\4" + header + name + data
    listed = b"".join(
        b"PK\1\2\x14\0" + header + struct.pack("<3H2I", 0, at // size, 0, 0, at % size) + name
        for at, header, name in entries
    )
    disk, last = len(body) // size, (len(body) + len(listed)) // size
    end = struct.pack("<4H2IH", last, disk, len(entries), len(entries), len(listed), len(body) % size, 0)
    whole = body + listed + b"PK\5\6" + end
    cut = [whole[at : at + size] for at in range(0, last * size, size)]
    return [*cut, whole[last * size :]]


def _spanned(folder: Path, pixels: Picture) -> None:
    *first, last = spanned_zip(pixels)
    for number, data in enumerate(first, 1):
        _write(folder / f"a.z{number:02d}", data)
    _write(folder / "a.zip", last)


def _document(**files: bytes) -> bytes:
    return zipped(**{"[Content_Types].xml": b"<x/>", **files})


def arrow(compression: str | None = None, **columns: Any) -> bytes:
    """An Arrow file of columns by name."""
    stream, table = io.BytesIO(), pa.table(columns)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(stream, table.schema, options=options) as writer:
        writer.write_table(table)
    return stream.getvalue()


def _union(pixels: Picture) -> pa.Array:
    kinds, at = pa.array([1, 0], pa.int8()), pa.array([0, 0], pa.int32())
    return pa.UnionArray.from_dense(kinds, at, [pa.array([png(pixels)]), pa.array([7])])


def _runs(pixels: Picture) -> pa.Array:
    ends = pa.array([2, 3], pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, pa.array([None, png(pixels)], pa.binary()))


class _OwnType(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.struct([("bytes", pa.binary()), ("path", pa.string())]), "leakscan.test")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> _OwnType:
        return cls()


def _extension(pixels: Picture) -> pa.Array:
    kind = _OwnType()
    return pa.ExtensionArray.from_storage(
        kind, pa.array([{"bytes": png(pixels), "path": "a"}], kind.storage_type)
    )


def _table(name: str, make: Callable[[Picture], bytes]) -> OddFile:
    return OddFile(name, _bytes("a.parquet", make), EITHER)


def _feather(name: str, make: Callable[[Picture], bytes]) -> OddFile:
    return OddFile(name, _bytes("a.arrow", make), EITHER)


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


_MAP = pa.map_(pa.string(), pa.list_(pa.binary()))


def _sparse_tar(pixels: Picture) -> bytes:
    """A tar file as ``tar --sparse`` writes it: a picture before a hole that is not stored."""
    film = by_pillow(pixels, "PPM")
    info = tarfile.TarInfo("a.pgm")
    info.type, info.size = b"S", len(film)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    numbers = [0, len(film), len(film) + 8192, 0]
    header[386:434] = b"".join(b"%011o\0" % number for number in numbers)
    header[483:495] = b"%011o\0" % (len(film) + 8192)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header) + film + bytes(-len(film) % 512 + 1024)


def _rest_of_file(pixels: Picture) -> bytes:
    """A second volume of a tar file, which goes on with a file of the first."""
    info = tarfile.TarInfo("a.png")
    info.type, info.size = b"M", 512
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1536)


def _dump(pixels: Picture) -> bytes:
    values = "\\".join(f"{value:04x}" for value in pixels.ravel())
    return f"# Dicom-Data-Set\n(0028,0010) US 72  # 2, 1 Rows\n(7fe0,0010) OW {values}\n".encode()


PACKED_FILES: tuple[OddFile, ...] = (
    OddFile(
        "tar.gz in parts of split",
        parts("a.tar.gz.", "aa ab ac ad", lambda p: tarred("w:gz", **{"a.png": png(p)})),
        EITHER,
    ),
    OddFile("tar in numbered parts", parts("a.tar.", "000 001", lambda p: tarred(a=png(p))), EITHER),
    OddFile("zip of 7-zip in parts", parts("a.zip.", "001 002 003", lambda p: zipped(a=png(p))), EITHER),
    OddFile("parts without a word", parts("x", "aa ab ac", lambda p: zipped(a=png(p))), EITHER),
    OddFile("parts of a short count", parts("A.TGZ.part", "1 2", lambda p: tarred("w:gz", a=png(p))), EITHER),
    OddFile("compressed picture in parts", parts("a.dcm.gz.", "aa ab", lambda p: gzip.compress(dicom(p)))),
    OddFile("zip over several discs", _spanned, EITHER),
    OddFile("letter", _bytes("a.docx", lambda p: _document(**{"word/media/image1.png": png(p)})), EITHER),
    OddFile(
        "slides and their small copy",
        _bytes("a.pptx", lambda p: _document(**{"docProps/thumbnail.png": b"", "ppt/media/i.png": png(p)})),
        EITHER,
    ),
    OddFile(
        "book without a suffix",
        _bytes("book", lambda p: zipped(mimetype=b"application/epub+zip", **{"OEBPS/a.png": png(p)})),
        EITHER,
    ),
    OddFile("gzip before others", _bytes("a.png.gz", lambda p: gzip.compress(png(p)) + b"x"), EITHER),
    OddFile("sparse tar", _bytes("a.tar", _sparse_tar)),
    OddFile("arrow stream without a suffix", _bytes("data-00000", arrow_stream), EITHER),
    _table("base64 in bytes in a table", lambda p: parquet(i=[as_text(png(p)).encode()])),
    _table("compressed file in a table", lambda p: parquet(i=[gzip.compress(dicom(p))])),
    _table("zip in a table", lambda p: parquet(i=[zipped(**{"a.png": png(p)})])),
    _table("tar in a table", lambda p: parquet(i=[tarred("w:gz", **{"a.png": png(p)})])),
    _table("url-safe base64 in a table", lambda p: parquet(i=[_urlsafe(png(p))])),
    _table("base64 in lines in a table", lambda p: parquet(i=[base64.encodebytes(png(p)).decode()])),
    _table("data uri in a table", lambda p: parquet(i=[f"see data:image/png;base64,{as_text(png(p))} "])),
    _table("json in a table", lambda p: parquet(i=[json.dumps({"a": [{"image": as_text(png(p))}]})])),
    _table("hexadecimal numbers in a table", lambda p: parquet(i=["\\x" + png(p).hex()])),
    _table("long bytes in a table", lambda p: parquet(i=pa.array([png(p)], pa.large_binary()))),
    _table("views of bytes in a table", lambda p: parquet(i=pa.array([png(p)], pa.binary_view()))),
    _table("bytes of one size in a table", lambda p: parquet(i=pa.array([png(p)], pa.binary(len(png(p)))))),
    _table("words of a dictionary", lambda p: parquet(i=pa.array([None, png(p)]).dictionary_encode())),
    _table("lists of lists in a table", lambda p: parquet(i=[[[], [{"x": [png(p)]}]]])),
    _table("late picture in a table", lambda p: parquet(t=["x"] * 99, i=pa.array([None] * 98 + [png(p)]))),
    _table("picture of a cache", lambda p: parquet(i=[{"bytes": png(p), "path": "/root/.cache/../a.png"}])),
    _feather("union in a table", lambda p: arrow(i=_union(p))),
    _feather("runs in a table", lambda p: arrow(i=_runs(p))),
    _feather("type of its own in a table", lambda p: arrow(i=_extension(p))),
    _feather("packed batches in a table", lambda p: arrow("zstd", i=[png(p)])),
    _feather("map of lists in a table", lambda p: arrow(i=pa.array([[("k", [png(p)])]], _MAP))),
)  # fmt: skip


def _uuencoded(pixels: Picture) -> bytes:
    data = png(pixels)
    lines = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 a.png\n" + lines + b"`\nend\n"


def _record(pixels: Picture) -> bytes:
    """A record of TensorFlow, whose length has the right checksum."""
    length = struct.pack("<Q", 1000)
    return length + struct.pack("<I", 0x9A119507) + b"\x08" + os.urandom(999)


def _dicom_xml(pixels: Picture) -> bytes:
    tag = b'<DicomAttribute keyword="PixelData" tag="7FE00010" vr="OW"><InlineBinary>'
    return (
        b'<?xml version="1.0"?><NativeDicomModel>'
        + tag
        + base64.b64encode(pixels.tobytes())
        + b"</InlineBinary>"
    )


def _numbers(pixels: Picture) -> bytes:
    return b"\n".join(b" ".join(b"%d" % value for value in row) for row in pixels)


def _large_pdf(pixels: Picture) -> bytes:
    """A text of many pages with one picture of a film in it."""
    film = by_pillow(np.kron(pixels, np.ones((4, 4), np.uint8)), "PDF")
    return film + b"\n7 0 obj <</Length 90000>> stream\n" + b"words " * 150_000 + b"\nendstream endobj"


def _twice(pixels: Picture) -> bytes:
    """A table two columns of which have one name."""
    stream = io.BytesIO()
    pq.write_table(pa.table([pa.array([1]), pa.array([png(pixels)])], names=["i", "i"]), stream)
    return stream.getvalue()


NAMED_IN_OTHERS: tuple[NamedFile, ...] = (
    NamedFile("films.7z.002", lambda p: os.urandom(99), "part of a split archive"),
    NamedFile("films.part2.rar", lambda p: b"\1" * 99, "part of a split archive"),
    NamedFile("films.tar.gz.ac", lambda p: b"\1" * 99, "part of a split archive"),
    NamedFile("lost/films.z01", lambda p: spanned_zip(p)[0], "part of a split archive"),
    NamedFile("films.rtf", lambda p: rb"{\rtf1{\pict " + png(p).hex().encode() + b"}}", "hexadecimal"),
    NamedFile("dump.sql", lambda p: b"VALUES (1, 0x" + png(p).hex().encode() + b");", "hexadecimal"),
    NamedFile("mail.uue", _uuencoded, "uuencode"),
    NamedFile("wide.json", lambda p: json.dumps({"i": as_text(png(p))}).encode("utf-16"), "base64"),
    NamedFile("escaped.json", lambda p: b'{"i":"\\/9j\\/4AAQSkZJRg"}', "base64"),
    NamedFile("dicom.txt", lambda p: base64.b64encode(dicom(p)), "base64"),
    NamedFile("scan.json", lambda p: b'{"7FE00010": {"vr": "OW"}}', "DICOM written as text"),
    NamedFile("scan.xml", _dicom_xml, "DICOM written as text"),
    NamedFile("scan.dump", _dump, "DICOM written as text"),
    NamedFile("2.tar", _rest_of_file, "another volume"),
    NamedFile(
        "c.xlsx", lambda p: _document(**{"xl/sharedStrings.xml": f"<t>{as_text(png(p))}".encode()}), "base64"
    ),
    NamedFile("ct.txt", _numbers, "pixels of pictures"),
    NamedFile("films.store", lambda p: b"records" * 99 + png(p), "pictures among other things"),
    NamedFile("films.deb.a", lambda p: b"!<arch>\na.png/          " + bytes(99), "an ar archive"),
    NamedFile("a.png.zlib", lambda p: zlib.compress(png(p)), "zlib"),
    NamedFile("films-00000-of-00010", _record, "TensorFlow record"),
    NamedFile("films.tfrecord-00000-of-00010", lambda p: b"any", "TensorFlow record"),
    NamedFile("films.tfrecord.gz", lambda p: gzip.compress(_record(p)), "TensorFlow record"),
    NamedFile("films.pkl.gz", lambda p: gzip.compress(b"\x80\4\x95" + bytes(99)), "Python pickle"),
    NamedFile("xet.parquet", lambda p: b"# xet version 0\nfilesize = 5\n", "Xet pointer"),
    NamedFile("buffer.json", lambda p: json.dumps({"data": list(png(p))}).encode(), "lists of bytes"),
    NamedFile("lists.json", lambda p: json.dumps({"film": p.tolist()}).encode(), "pixels of pictures"),
    NamedFile("b.sql", lambda p: b"('" + png(p).replace(b"\r\n", rb"\r\n") + b"')", "escaped bytes"),
    NamedFile("ct.tsv", lambda p: _numbers(p).replace(b" ", b".5\t"), "pixels of pictures"),
    NamedFile("films.rds", lambda p: gzip.compress(b"X\n\0\0\0\3" + p.tobytes()), "R data file"),
    NamedFile("f.exe", lambda p: b"MZ" + bytes(99) + zipped(**{"a.png": png(p)}), "program that unpacks"),
    NamedFile("twice.parquet", _twice, "several columns called"),
    NamedFile("printed.parquet", lambda p: parquet(i=[str(png(p))]), "form of its own"),
    NamedFile("article.pdf", _large_pdf, "PDF with pictures"),
    NamedFile("raw.parquet", lambda p: parquet(d=[p.tobytes()], height=[72], width=[72]), "bytes of pixels"),
    NamedFile("words.parquet", lambda p: parquet(t=[_numbers(p).decode()]), "pixels of images as text"),
    NamedFile("b85.parquet", lambda p: parquet(t=[base64.b85encode(png(p)).decode()]), "base85"),
)  # fmt: skip


def beside_pictures(pixels: Picture) -> bytes:
    """A table with a column of pictures that is read, and one that is not."""
    return parquet(image=[png(pixels)], more=[base64.b85encode(png(texture(1))).decode()])


NO_PICTURES: dict[str, bytes] = {
    "empty.docx": _document(**{"word/document.xml": b"<x/>"}),
    "tool.exe": b"MZ" + bytes(500) + png(texture(2)),
    "sums.tar.gz.md5": b"0" * 32,
    "features.csv": b"a,b,c\n" + b"0.5,1.5,2.5\n" * 90,
    "ids.parquet": parquet(sha=[b"\1" * 32], text=["two films"]),
    "header.dump": b"(0028,0010) US 72\n(7fe0,0010) OW 0a00\\0b00...  # 9, 1 PixelData\n",
    "nothing.parquet": parquet(i=pa.array([], pa.binary())),
    "polygons.json": json.dumps([[i * 7 % 251 for i in range(n)] for n in (90, 64)]).encode(),
    "letter.txt": b"We begin 100 studies\nMany people\n",
}
"""Files of no image: nobody is told of them."""
