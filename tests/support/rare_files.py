"""Rarer kinds of files than those of ``odd_files``: what is read of them, and what is only named."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow as pa
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from support import dicom_maker
from support.makers import Picture
from support.odd_files import (
    ALTERED,
    EITHER,
    Maker,
    OddFile,
    _by,
    _bytes,
    as_text,
    dicom,
    parquet,
    png,
    tarred,
    texture,
    zipped,
)


def other_than(pixels: Picture) -> Picture:
    """A picture that stands before the one that matters."""
    return texture(int(pixels[0, 0]) + 2000, len(pixels))


def by_pillow(pixels: Picture, format: str, **how: object) -> bytes:
    """The bytes of a picture in a format of Pillow."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **how)
    return stream.getvalue()


def _written(dataset: object) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)  # type: ignore[attr-defined]
    return stream.getvalue()


def packed_dicom(pixels: Picture) -> bytes:
    """A film of 12 bits a number without gaps, as old files keep it."""
    a, c = pixels.astype(np.uint16).ravel().reshape(-1, 2).T
    ds = dicom_maker.dataset(pixels.astype(np.uint16))
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 12, 12, 11
    ds.PixelData = np.stack([a & 255, a >> 8 | (c & 15) << 4, c >> 4], 1).astype(np.uint8).tobytes()
    return _written(ds)


def encapsulated(pixels: Picture, data: bytes, syntax: str) -> bytes:
    """A film whose pixels are compressed, under any transfer syntax."""
    ds = dicom_maker.dataset(pixels)
    if pixels.dtype == np.uint16:
        ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData = encapsulate([data])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    return _written(ds).replace(b"1.2.840.10008.1.2.4.90", syntax.encode())


def overlay_in_jpeg_2000(module: object, pixels: Picture) -> bytes:
    """A film of 12 stored bits in a stream of 16, an overlay in the bits above."""
    deep = pixels.astype(np.uint16) * 16
    drawn = deep.copy()
    drawn[10:30, 10:30] |= 0x8000
    drawn[40:50, 20:60] |= 0x1000
    data = module.jpeg2k_encode(drawn, level=0, codecformat="j2k")  # type: ignore[attr-defined]
    return encapsulated(deep, data, "1.2.840.10008.1.2.4.90")


def _squashed(name: str, write: Callable[[Path, Picture], None]) -> Maker:
    """A picture that has a third of its rows, in a file that says how tall its pixels are."""

    def make(folder: Path, pixels: Picture) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        flat = Image.fromarray(pixels).resize((len(pixels), len(pixels) // 3), Image.Resampling.BOX)
        write(folder / name, np.asarray(flat))

    return make


def _long_pixels(path: Path, pixels: Picture, **elements: object) -> None:
    path.write_bytes(dicom(pixels, **elements))


def _tall_tiff(path: Path, pixels: Picture) -> None:
    Image.fromarray(pixels).save(path, tiffinfo={282: 300.0, 283: 100.0, 296: 2})


def _picture_below_a_preview(folder: Path, pixels: Picture) -> None:
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(folder / "a.tif") as file:
        file.write(pixels[::4, ::4], subifds=1, subfiletype=1)
        file.write(pixels)


def _nifti_from_zero(folder: Path, pixels: Picture) -> None:
    """A single file whose header states that its voxels begin where it begins itself."""
    folder.mkdir(parents=True, exist_ok=True)
    voxels = np.ascontiguousarray(pixels.T[::-1, ::-1, None]).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "a.nii")
    data = bytearray((folder / "a.nii").read_bytes())
    data[108:112] = bytes(4)
    (folder / "a.nii").write_bytes(data)


def sun_raster(pixels: Picture) -> bytes:
    """A raster file of Sun's, without colours."""
    height, width = pixels.shape
    return struct.pack(">8I", 0x59A66A95, width, height, 8, pixels.size, 1, 0, 0) + pixels.tobytes()


def two_pcx(pixels: Picture) -> bytes:
    """Two pictures in a DCX; the film is the second."""
    first = by_pillow(other_than(pixels), "PCX")
    return struct.pack("<4I", 0x3ADE68B1, 16, 16 + len(first), 0) + first + by_pillow(pixels, "PCX")


def photoshop(pixels: Picture) -> bytes:
    """A document without layers."""
    height, width = pixels.shape
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, height, width, 8, 1)
    return head + bytes(12) + b"\0\0" + pixels.tobytes()


def two_maps(pixels: Picture) -> bytes:
    """Two grey maps, one behind the other."""
    head = b"P5 %d %d 255\n" % pixels.shape[::-1]
    return head + other_than(pixels).tobytes() + head + pixels.tobytes()


def _two_in_jpeg_xl(module: object, pixels: Picture) -> bytes:
    both = np.stack([other_than(pixels), pixels])
    return bytes(module.jpegxl_encode(both, lossless=True))  # type: ignore[attr-defined]


def _two_in_a_jpeg(pixels: Picture) -> bytes:
    return by_pillow(
        other_than(pixels), "MPO", quality=95, save_all=True, append_images=[Image.fromarray(pixels)]
    )


RARE_FILES: tuple[OddFile, ...] = (
    OddFile("dicom that lost its preamble", _bytes("IM1", lambda p: dicom(p)[128:])),
    OddFile("dicom of 12 bits without gaps", _bytes("a.dcm", packed_dicom)),
    OddFile("overlay above the bits of jpeg 2000", _by("imagecodecs", "a.dcm", overlay_in_jpeg_2000)),
    OddFile(
        "dicom in jpeg xl",
        _by(
            "imagecodecs",
            "a.dcm",
            lambda m, p: encapsulated(p, m.jpegxl_encode(p, lossless=True), "1.2.840.10008.1.2.4.110"[:22]),  # type: ignore[attr-defined]
        ),
        needs="imagecodecs",
    ),
    OddFile(
        "long pixels by PixelSpacing",
        _squashed("a.dcm", lambda f, p: _long_pixels(f, p, PixelSpacing=["0.9", "0.3"])),
        ("same_image",),
    ),
    OddFile(
        "long pixels by ImagerPixelSpacing",
        _squashed("a.dcm", lambda f, p: _long_pixels(f, p, ImagerPixelSpacing=["0.9", "0.3"])),
        ("same_image",),
    ),
    OddFile(
        "long pixels by PixelAspectRatio",
        _squashed("a.dcm", lambda f, p: _long_pixels(f, p, PixelAspectRatio=["3", "1"])),
        ("same_image",),
    ),
    OddFile(
        "long pixels of a png",
        _squashed("a.png", lambda f, p: f.write_bytes(png(p, dpi=(300, 100))) and None),
        ("same_image",),
    ),
    OddFile("long pixels of a tiff", _squashed("a.tif", _tall_tiff), ("same_image",)),
    OddFile(
        "long pixels of a jpeg",
        _squashed(
            "a.jpg", lambda f, p: f.write_bytes(by_pillow(p, "JPEG", quality=98, dpi=(300, 100))) and None
        ),
        ("same_image",),
    ),
    OddFile("second picture of a jpeg", _bytes("a.jpg", _two_in_a_jpeg), ALTERED),
    OddFile("second frame of jpeg xl", _by("imagecodecs", "a.jxl", _two_in_jpeg_xl), needs="imagecodecs"),
    OddFile("second of two maps", _bytes("a.pgm", two_maps)),
    OddFile("picture below its preview", _picture_below_a_preview),
    OddFile("nifti whose voxels begin at 0", _nifti_from_zero),
    OddFile("sun raster", _bytes("a.ras", sun_raster)),
    OddFile("second picture of a dcx", _bytes("a.dcx", two_pcx)),
    OddFile("photoshop", _bytes("a.psd", photoshop)),
    OddFile("icon", _bytes("a.ico", lambda p: by_pillow(p, "ICO", sizes=[(len(p), len(p))])), ALTERED),
    OddFile(
        "tar behind a tar",
        _bytes("a.tar", lambda p: tarred(x=b"notes") + tarred(**{"a.png": png(p)})),
        EITHER,
    ),
    OddFile(
        "picture in a map of a table",
        _bytes(
            "a.parquet", lambda p: parquet(i=pa.array([[("a", png(p))]], pa.map_(pa.string(), pa.binary())))
        ),
        EITHER,
    ),
)


@dataclass(frozen=True)
class NamedFile:
    """A kind that is known and not read.

    Attributes:
        path: The name of the file.
        data: Makes its bytes.
        said: What its row must say.
    """

    path: str
    data: Callable[[Picture], bytes]
    said: str


def _encrypted(pixels: Picture) -> bytes:
    data = bytearray(zipped(**{"a.png": png(pixels)}))
    data[6] |= 1
    data[data.find(b"PK\1\2") + 8] |= 1
    return bytes(data)


def _scanned(pixels: Picture) -> bytes:
    return by_pillow(pixels, "PDF")


_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


def _long_base64(pixels: Picture) -> bytes:
    """A picture in base64 that is no logo."""
    noise = np.random.default_rng(int(pixels.sum())).integers(0, 256, (96, 96)).astype(np.uint8)
    return as_text(png(noise)).encode()


def _wrapped_base64(pixels: Picture) -> bytes:
    text = _long_base64(pixels)
    return b"\n".join(text[at : at + 76] for at in range(0, len(text), 76))


NAMED_FILES: tuple[NamedFile, ...] = (
    NamedFile("a.mng", lambda p: b"\x8aMNG\r\n\x1a\n" + bytes(99), "MNG animation"),
    NamedFile("a.jng", lambda p: b"\x8bJNG\r\n\x1a\n" + bytes(99), "JNG picture"),
    NamedFile("a.im", lambda p: b"Image type: L image\r\n" + bytes(99), "IFUNC picture"),
    NamedFile("a.xcf", lambda p: b"gimp xcf v011\0" + bytes(99), "GIMP document"),
    NamedFile("a.eps", lambda p: b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript document"),
    NamedFile("a.pdf", _scanned, "PDF with pictures"),
    NamedFile("a.ktx2", lambda p: b"\xabKTX 20\xbb" + bytes(99), "KTX texture"),
    NamedFile("a.orc", lambda p: b"ORC" + bytes(99), "ORC table"),
    NamedFile("a.avro", lambda p: b"Obj\x01" + bytes(99), "Avro file"),
    NamedFile("a.db", lambda p: b"SQLite format 3\0" + png(p), "SQLite database"),
    NamedFile("a.cdf", lambda p: b"CDF\x01" + bytes(8) + p.tobytes(), "netCDF file"),
    NamedFile("data_batch_1", lambda p: pickle.dumps({"data": p}), "Python pickle"),
    NamedFile(
        "images-idx3-ubyte", lambda p: struct.pack(">4I", 0x803, 1, *p.shape) + p.tobytes(), "IDX array"
    ),
    NamedFile(
        "images-idx3-ubyte.gz",
        lambda p: gzip.compress(struct.pack(">4I", 0x803, 1, *p.shape) + p.tobytes()),
        "IDX array",
    ),
    NamedFile("a.zarr/.zarray", lambda p: json.dumps({"chunks": [9, 9]}).encode(), "Zarr array"),
    NamedFile("b.zarr/zarr.json", lambda p: json.dumps({"node_type": "array"}).encode(), "Zarr array"),
    NamedFile("data_batch_1.bin", lambda p: bytes(3073 * 100), "CIFAR"),
    NamedFile("shard.00000.mds", lambda p: struct.pack("<I", 1) + png(p), "MosaicML shard"),
    NamedFile("films.csv", lambda p: b"label,pixels\n0," + b" ".join(b"%d" % v for v in p.flat), "pixels"),
    NamedFile(
        "digits.csv",
        lambda p: ",".join(f"pixel{i}" for i in range(784)).encode() + b"\n",
        "table of the pixels",
    ),
    NamedFile("a.ff", lambda p: b"farbfeld" + bytes(99), "a Farbfeld picture"),
    NamedFile("a.dpx", lambda p: b"SDPX" + bytes(99), "a DPX picture"),
    NamedFile("a.mat", lambda p: b"MATLAB 5.0 MAT-file" + bytes(199), "a MATLAB file"),
    NamedFile("locked.parquet", lambda p: b"PARE" + bytes(99) + b"PARE", "an encrypted Parquet table"),
    NamedFile(
        "report.html", lambda p: b"<img src='data:image/png;base64," + _long_base64(p) + b"'>", "base64"
    ),
    NamedFile("letter.eml", lambda p: b"MIME-Version: 1.0\n\n" + _wrapped_base64(p), "base64"),
    NamedFile("films.ipynb", lambda p: b'{"image/png": "' + _long_base64(p) + b'"}', "base64"),
    NamedFile("late.json", lambda p: b" " * 5000 + b'{"image": "iVBORw0KGgoAAAANSUhE"}', "base64"),
    NamedFile(
        "late.jsonl.gz", lambda p: gzip.compress(b'{"image": "' + as_text(png(p)).encode() + b'"}'), "base64"
    ),
    NamedFile("flat.parquet", lambda p: parquet(i=[p.ravel().tolist()]), "arrays of numbers"),
    NamedFile("zipped.parquet", lambda p: parquet(i=[gzip.compress(p.tobytes())]), "compressed files"),
    NamedFile("locked.zip", _encrypted, "encrypted"),
    NamedFile("pointer.zip", lambda p: _LFS, "Git LFS"),
    NamedFile("pointer.parquet", lambda p: _LFS, "Git LFS"),
    NamedFile("a.dcm", lambda p: encapsulated(p, png(p), "1.2.840.10008.1.2.4.94"), "transfer syntax"),
)

SURELY_NONE: dict[str, bytes] = {
    "page.html": b"<img src='data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAE='>",
    "people.csv": b"name,age\nA,31\n",
    "notes.json": b'{"films": 2}',
    "paper.pdf": b"%PDF-1.5\n1 0 obj <</Length 900>> stream\n" + b"words " * 150 + b"\nendstream endobj",
    "model.bin": b"\x07" * 5000,
    "zarr.json": b'{"node_type": "group"}',
}
"""Files of no image: nobody is told of them."""


def embeddings() -> bytes:
    """A table of vectors, of words as numbers, and of a mask: none of them pictures."""
    rng = np.random.default_rng(0)
    return parquet(
        vector=[rng.random(784).tolist()], words=[rng.integers(0, 50_000, 1024).tolist()], mask=[[0, 1] * 512]
    )
