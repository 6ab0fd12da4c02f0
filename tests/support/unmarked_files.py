"""Files whose pictures show only to who reads on: behind other bytes, as bare numbers, as other texts."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
import quopri
import struct
import zlib

import numpy as np
import pyarrow as pa
from PIL import Image

from support.makers import Picture
from support.odd_files import as_text, dicom, parquet, png, tarred, zipped
from support.rare_files import NamedFile, by_pillow


def film(pixels: Picture) -> Picture:
    """A picture that is no square, of 96 rows and 128 columns."""
    return np.asarray(Image.fromarray(pixels).resize((128, 96), Image.Resampling.BICUBIC))


def _answer(data: bytes, kind: str = "application/dicom") -> bytes:
    return f"--part\r\nContent-Type: {kind}\r\n\r\n".encode() + data + b"\r\n--part--\r\n"


def _rows(pixels: Picture, between: str = ",", form: str = "{}") -> str:
    return "\n".join(between.join(form.format(n) for n in row) for row in film(pixels))


def _text(pixels: Picture) -> str:
    return base64.b64encode(film(pixels).tobytes()).decode()


def _old_matlab(pixels: Picture) -> bytes:
    return struct.pack("<5i", 50, 128, 96, 0, 5) + b"film\0" + film(pixels).tobytes()


def _late_hdf5(pixels: Picture) -> bytes:
    return bytes(4096) + b"\x89HDF\r\n\x1a\n" + film(pixels).tobytes()


def _torch(pixels: Picture) -> bytes:
    return zipped(**{"films/data.pkl": b"\x80\2", "films/data/0": film(pixels).tobytes()})


def _wide(pixels: Picture) -> bytes:
    flat = film(pixels)[::2, ::2].ravel()
    return parquet(label=[1], **{f"v{i}": [int(n)] for i, n in enumerate(flat)})


_BARE = "bytes are likely pixels"
_TABLE = "likely the pixels of pictures"

UNMARKED_FILES: tuple[NamedFile, ...] = (
    NamedFile("answer.multipart", lambda p: _answer(dicom(p)), "an answer of a server"),
    NamedFile("answer", lambda p: b"HTTP/1.1 200 OK\r\n\r\n" + _answer(dicom(p)), "an answer of a server"),
    NamedFile("frames.bin", lambda p: _answer(b"\xff\x4f", "image/jp2"), "an answer of a server"),
    NamedFile("old.dat", lambda p: pickle.dumps(p, 0), "a Python pickle"),
    NamedFile("old2.dat", lambda p: pickle.dumps({"films": p}, 1), "a Python pickle"),
    NamedFile("old3", lambda p: pickle.dumps(p.tolist(), 0), "a Python pickle"),
    NamedFile("dump.x", lambda p: b"of a server\n" + dicom(p), "pictures among other things"),
    NamedFile("tiff.x", lambda p: b"of mine\n" + by_pillow(p, "TIFF"), "among other"),
    NamedFile("bmp.x", lambda p: b"of mine\n" + by_pillow(p, "BMP"), "pictures among other things"),
    NamedFile("gif.x", lambda p: b"of mine\n" + by_pillow(p, "GIF"), "pictures among other things"),
    NamedFile("self.sh", lambda p: b"#!/bin/sh\n" + tarred("w:gz", **{"a.png": png(p)}), "among other"),
    NamedFile("bare.dat", lambda p: film(p).tobytes(), _BARE),
    NamedFile("bare", lambda p: b"header" * 9 + film(p).astype("<u2").tobytes(), _BARE),
    NamedFile("bare.be", lambda p: (film(p).astype(">u2") * 16).tobytes(), _BARE),
    NamedFile("bare.f32", lambda p: (film(p) / np.float32(255)).tobytes(), _BARE),
    NamedFile("bare.i16", lambda p: (film(p).astype("<i2") * 10 - 1024).tobytes(), _BARE),
    NamedFile("colours.dat", lambda p: np.stack([film(p), 255 - film(p), film(p) // 2], -1).tobytes(), _BARE),
    NamedFile("bare.dat.gz", lambda p: gzip.compress(film(p).tobytes()), _BARE),
    NamedFile("bare.zz2", lambda p: zlib.compress(film(p).tobytes()), "zlib"),
    NamedFile("record.pb", lambda p: b"\x08\x60\x10\x80\1\x1a" + film(p).tobytes(), _BARE),
    NamedFile("matlab4.x", _old_matlab, "a MATLAB file"),
    NamedFile("late.x", _late_hdf5, "pictures among other things"),
    NamedFile("torch", _torch, "a PyTorch file"),
    NamedFile("flat.json", lambda p: json.dumps({"pixels": film(p).ravel().tolist()}).encode(), _TABLE),
    NamedFile("column.txt", lambda p: "\n".join(map(str, film(p).ravel())).encode(), _TABLE),
    NamedFile("hu.csv", lambda p: _rows(p, ",", "-{}").encode(), _TABLE),
    NamedFile("headed.csv", lambda p: ("id,label\n" + _rows(p)).encode(), _TABLE),
    NamedFile("quoted.csv", lambda p: _rows(p, ",", '"{}"').encode(), _TABLE),
    NamedFile("opencv.yml", lambda p: f"%YAML:1.0\ndata: [ {_rows(p, ', ')} ]\n".encode(), _TABLE),
    NamedFile("bmp.json", lambda p: json.dumps({"a": as_text(by_pillow(p, "BMP"))}).encode(), "base64"),
    NamedFile("z.json", lambda p: json.dumps({"a": as_text(zipped(**{"a.png": png(p)}))}).encode(), "base64"),
    NamedFile("raw.json", lambda p: json.dumps({"width": 128, "film": _text(p)}).encode(), "base64"),
    NamedFile("quoted.mail", lambda p: b"MIME-Version: 1.0\n\n" + quopri.encodestring(png(p)), "escaped"),
    NamedFile("film.xxd", lambda p: png(p).hex(" ", -2).encode(), "hexadecimal"),
    NamedFile("film.png.gpg", lambda p: b"\x85\1\x0c\3" + bytes(99), "an encrypted file"),
    NamedFile("films.zip.age", lambda p: b"any", "an encrypted file"),
    NamedFile("locked", lambda p: b"Salted__" + bytes(99), "an encrypted file"),
    NamedFile("a.packed", lambda p: b"\x1f\x9d\x90" + bytes(99), "compressed in a way"),
    NamedFile("ultrasound.vol", lambda p: b"KRETZFILE 1.0   " + bytes(99), "a Kretz ultrasound volume"),
    NamedFile("2dseq", lambda p: b"any", "a Bruker volume"),
    NamedFile("map", lambda p: bytes(208) + b"MAP DA\0\0" + bytes(900), "an MRC volume"),
    NamedFile("film.wsq", lambda p: b"\xff\xa0\xff\xa4" + bytes(99), "a WSQ fingerprint"),
    NamedFile("oct.x", lambda p: b"FOCTFDA" + bytes(99), "a Topcon OCT file"),
    NamedFile("lists.parquet", lambda p: parquet(v=[film(p).ravel().tolist()]), "arrays of numbers"),
    NamedFile("floats.parquet", lambda p: parquet(v=[(film(p) / 255).ravel().tolist()]), "arrays of numbers"),
    NamedFile("halves.parquet", lambda p: parquet(v=_of_one_size(p)), "arrays of numbers"),
    NamedFile("inner.parquet", lambda p: parquet(v=[{"film": film(p).ravel().tolist()}]), "arrays of"),
    NamedFile("bytes.parquet", lambda p: parquet(v=[film(p).tobytes()]), "the bytes of pixels"),
    NamedFile("zlib.parquet", lambda p: parquet(v=[zlib.compress(film(p).tobytes())]), "compressed"),
    NamedFile("texts.parquet", lambda p: parquet(v=[_text(p)]), "images as text"),
    NamedFile("wide.parquet", _wide, _TABLE),
)  # fmt: skip


def _of_one_size(pixels: Picture) -> pa.FixedSizeListArray:
    values = (film(pixels) / 255).astype(np.float16).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(values), len(values))


def _floats(values: object) -> bytes:
    return np.asarray(values, "<f4").tobytes()


def _table_of_features() -> bytes:
    rng = np.random.default_rng(4)
    columns = {f"f{i}": (rng.random(40) * 10**i).tolist() for i in range(70)}
    stream = io.BytesIO()
    stream.write(parquet(**columns))
    return stream.getvalue()


_RNG = np.random.default_rng(3)
_TIME = np.arange(40_000)

SMOOTH_NUMBERS: dict[str, bytes] = {
    "weights.bin": _floats(_RNG.normal(0, 0.05, 40_000)),
    "vectors.bin": _floats(_RNG.random((60, 512))),
    "walk.dat": _floats(np.cumsum(_RNG.normal(size=40_000))),
    "offsets.idx2": np.arange(0, 400_000, 7, dtype="<u4").tobytes(),
    "zeros.dat": bytes(90_000),
    "noise.dat": _RNG.bytes(90_000),
    "mask.dat": np.kron(_RNG.integers(0, 2, (12, 16)), np.ones((16, 16))).astype("u1").tobytes(),
    "mesh.x": _floats(_RNG.random((9000, 3)) * 100),
    "records.x": b"".join(struct.pack("<IfBBH", i, i / 3, 7, 9, i % 11) for i in range(4000)),
    "transform.mat": b"1 0 0 0.5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    "people.txt": b"\n".join(b"%d;%d;%d" % (i, 20 + i * 7 % 60, i % 2) for i in range(900)),
    "table.csv": "\n".join(",".join(f"{v:.3f}" for v in row) for row in _RNG.random((90, 30))).encode(),
    "report.txt": b"The heart is of normal size. There is no effusion.\n" * 400,
    "key.txt": base64.b64encode(_RNG.bytes(3000)),
    "features.parquet": _table_of_features(),
    "signal.parquet": parquet(v=[np.cumsum(_RNG.normal(size=5000)).tolist()]),
}
"""Numbers, smooth ones among them, that are no pictures: nobody is told of them."""
