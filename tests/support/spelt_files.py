"""Pictures that texts spell out in rarer ways, and lists and tables of numbers that are no pictures."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from support.makers import Picture
from support.odd_files import png
from support.rare_files import NamedFile
from support.unmarked_files import film


def parquet(**columns: object) -> bytes:
    """A Parquet table in one group of rows."""
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def _dumped(data: bytes, form: str, width: int = 1, offset: str = "{:07o}") -> bytes:
    """A dump as ``od`` writes it: an offset in front of sixteen bytes, in words of a width."""
    lines = []
    for at in range(0, len(data) // 16 * 16, 16):
        words = [int.from_bytes(data[i : i + width], "little") for i in range(at, at + 16, width)]
        lines.append(offset.format(at) + " " + " ".join(form.format(word) for word in words))
    return "\n".join(lines).encode()


def _canonical(data: bytes) -> bytes:
    """A dump as ``hexdump -C`` writes it."""
    lines = []
    for at in range(0, len(data) // 16 * 16, 16):
        half = [data[i : i + 8].hex(" ") for i in (at, at + 8)]
        shown = "".join(chr(n) if 32 < n < 127 else "." for n in data[at : at + 16])
        lines.append(f"{at:08x}  {half[0]}  {half[1]}  |{shown}|")
    return "\n".join(lines).encode()


def _letters(data: bytes) -> bytes:
    """A dump as ``od -c`` writes it."""
    names = {0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r"}
    cells = [names.get(n) or (chr(n) if 32 <= n < 127 else f"{n:03o}") for n in data]
    lines = [
        f"{at:07o}" + "".join(f"{cell:>4}" for cell in cells[at : at + 16]) for at in range(0, len(cells), 16)
    ]
    return "\n".join(lines).encode()


def _records(pixels: Picture, form: str, between: str = "\n") -> bytes:
    """One pixel a record."""
    values = film(pixels)
    return between.join(
        form.format(x=x, y=y, v=values[y, x], f=values[y, x] / 255)
        for y in range(values.shape[0])
        for x in range(values.shape[1])
    ).encode()


def _libsvm(pixels: Picture) -> bytes:
    return ("1 " + " ".join(f"{i + 1}:{v}" for i, v in enumerate(film(pixels).ravel()) if v > 40)).encode()


def _notebook(pixels: Picture) -> bytes:
    rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in film(pixels))
    return f"Notebook[{{Cell[BoxData[RasterBox[{{{rows}}}]]]}}]".encode()


def _matrix(pixels: Picture, inner: str, outer: str, form: str = "{}") -> bytes:
    return outer.join(inner.join(form.format(n) for n in row) for row in film(pixels)).encode()


def _grid(pixels: Picture) -> bytes:
    return b"ncols 128\nnrows 96\ncellsize 1\nNODATA_value -9999\n" + _matrix(pixels, " ", "\n")


def _fortran(pixels: Picture) -> bytes:
    mark = (128 * 4).to_bytes(4, "little")
    return b"".join(mark + row.astype("<f4").tobytes() + mark for row in film(pixels))


def _long_table(pixels: Picture) -> bytes:
    y, x = np.indices(film(pixels).shape)
    return parquet(x=x.ravel().tolist(), y=y.ravel().tolist(), v=film(pixels).ravel().tolist())


def _between(pixels: Picture) -> bytes:
    return json.dumps({str(i): n for i, n in enumerate(png(pixels))}).encode()


def _in_utf8(pixels: Picture) -> bytes:
    return png(pixels).decode("latin1").encode()


def _in_utf16(pixels: Picture) -> bytes:
    return json.dumps({"a": base64.b64encode(png(pixels)).decode()}).encode("utf-16-be")


def _with_holes(pixels: Picture) -> bytes:
    few = np.arange(film(pixels).size).reshape(film(pixels).shape) % 17 == 0
    return np.where(few, np.nan, film(pixels)).astype("<f4").tobytes()


_LIST = "likely the pixels of pictures"

SPELT_FILES: tuple[NamedFile, ...] = (
    NamedFile("film.b32", lambda p: base64.b32encode(png(p)), "in base32"),
    NamedFile("lower.b32", lambda p: base64.b32encode(png(p)).lower(), "in base32"),
    NamedFile("hex.b32", lambda p: base64.b32hexencode(png(p)), "in base32"),
    NamedFile("b32.json", lambda p: json.dumps({"a": base64.b32encode(png(p)).decode()}).encode(), "base32"),
    NamedFile("pixels.b32", lambda p: base64.b32encode(film(p).tobytes()), "in base32"),
    NamedFile("b32.parquet", lambda p: parquet(s=[base64.b32encode(png(p)).decode()]), "images as text"),
    NamedFile("od.txt", lambda p: _dumped(png(p), "{:06o}", 2), "a dump of bytes"),
    NamedFile("od_o1.txt", lambda p: _dumped(png(p), "{:03o}"), "a dump of bytes"),
    NamedFile("od_u1.txt", lambda p: _dumped(png(p), "{:3d}"), "a dump of bytes"),
    NamedFile("od_x4.txt", lambda p: _dumped(png(p), "{:08x}", 4), "a dump of bytes"),
    NamedFile("od_c.txt", lambda p: _letters(png(p)), "a dump of bytes"),
    NamedFile("od_pixels.txt", lambda p: _dumped(film(p).tobytes(), "{:06o}", 2), "a dump of bytes"),
    NamedFile("hexdump.txt", lambda p: _dumped(png(p), "{:04x}", 2, "{:07x}"), "a dump of bytes"),
    NamedFile("hexdump_d.txt", lambda p: _dumped(png(p), "{:05d}", 2, "{:07x}"), "a dump of bytes"),
    NamedFile("hexdump_c.txt", lambda p: _canonical(film(p).tobytes()), "a dump of bytes"),
    NamedFile("bits.txt", lambda p: " ".join(f"{n:08b}" for n in png(p)).encode(), "a dump of bytes"),
    NamedFile("rows.hex", lambda p: b"\n".join(row.tobytes().hex().encode() for row in film(p)), "hexadeci"),
    NamedFile("octal.txt", lambda p: "".join(f"\\{n:03o}" for n in png(p)).encode(), "in escaped bytes"),
    NamedFile("percent.txt", lambda p: "".join(f"%{n:02x}" for n in png(p)).encode(), "in escaped bytes"),
    NamedFile("unicode.json", lambda p: json.dumps({"a": png(p).decode("latin1")}).encode(), "escaped bytes"),
    NamedFile("utf8.txt", _in_utf8, "pictures among other things"),
    NamedFile("utf16.json", _in_utf16, "base64"),
    NamedFile("signed.txt", lambda p: " ".join(str(n - 256 * (n > 127)) for n in png(p)).encode(), "lists"),
    NamedFile("keyed.json", _between, "lists of bytes"),
    NamedFile("film.nb", _notebook, _LIST),
    NamedFile("film.svm", _libsvm, _LIST),
    NamedFile("long.csv", lambda p: b"y,x,v\n" + _records(p, "{y},{x},{v}"), _LIST),
    NamedFile("long_id.csv", lambda p: b"id,row,col,v\n" + _records(p, "film1,{y},{x},{v}"), _LIST),
    NamedFile("long.jsonl", lambda p: _records(p, '{{"x": {x}, "y": {y}, "v": {v}}}'), _LIST),
    NamedFile("points.txt", lambda p: _records(p, "{x:.1f} {y:.1f} 0.0 {f:.4f}"), _LIST),
    NamedFile("pixels.xml", lambda p: _records(p, '<p x="{x}" y="{y}" v="{v}"/>', ""), _LIST),
    NamedFile("cells.dat", lambda p: _records(p, "<td>{v}</td>", ""), _LIST),
    NamedFile("film.lisp", lambda p: b"(film (" + _matrix(p, " ", ") (") + b"))", _LIST),
    NamedFile("film.m", lambda p: b"A = [" + _matrix(p, " ", ";\n") + b"];", _LIST),
    NamedFile("film.h", lambda p: b"char film[96][128] = {{" + _matrix(p, ",", "},\n{") + b"}};", _LIST),
    NamedFile("film.jl", lambda p: b"UInt8[" + _matrix(p, " ", "; ", "0x{:02x}") + b"]", "hexadecimal"),
    NamedFile("film.asc", _grid, _LIST),
    NamedFile("film.unf", _fortran, "bytes are likely pixels"),
    NamedFile("whole.i4", lambda p: film(p).astype("<i4").tobytes(), "bytes are likely pixels"),
    NamedFile("whole.f8", lambda p: b"odd" + (film(p) / 255).astype(">f8").tobytes(), "bytes are likely"),
    NamedFile("whole.c8", lambda p: (film(p) / 255).astype("<c8").tobytes(), "bytes are likely pixels"),
    NamedFile("holes.f4", _with_holes, "bytes are likely pixels"),
    NamedFile("bright.dat", lambda p: (film(p) // 2 + 128).tobytes(), "bytes are likely pixels"),
    NamedFile("long.parquet", _long_table, _LIST),
    NamedFile("one.parquet", lambda p: parquet(v=(film(p) / 255).ravel().tolist()), _LIST),
    NamedFile("rows.parquet", lambda p: parquet(r=[row.tobytes() for row in film(p)]), _LIST),
    NamedFile("text.parquet", lambda p: parquet(s=[json.dumps(film(p).tolist())]), "pixels"),
)  # fmt: skip


def _table(rows: object, form: str = "{:.4g}", between: str = ",") -> bytes:
    return "\n".join(between.join(form.format(v) for v in row) for row in np.asarray(rows)).encode()


def _beats(spread: float) -> npt.NDArray[np.float64]:
    """A signal of a heart whose beats are not all of one length."""
    rng = np.random.default_rng(5)
    starts = np.cumsum(0.8 * (1 + rng.normal(0, spread, 200)))
    time = np.arange(36_000) / 360
    since = time - np.concatenate([[0.0], starts])[np.searchsorted(starts, time)]
    wave = np.exp(-(((since - 0.25) / 0.015) ** 2)) + 0.2 * np.exp(-(((since - 0.5) / 0.05) ** 2))
    return np.asarray(wave + rng.normal(0, 0.01, len(time)))


_RNG = np.random.default_rng(6)
_DAYS, _HOURS = np.arange(365)[:, None], np.arange(24)
_FEATURES = _RNG.lognormal(0, 1, (300, 100)) * np.logspace(-2, 3, 100)
_GROUPS = np.repeat(_RNG.normal(size=(4, 200)), 25, axis=0) + _RNG.normal(size=(100, 200))
_AT = np.sort(_RNG.random(100))


def _contours() -> list[list[list[float]]]:
    angles = np.linspace(0, 2 * np.pi, 120)
    return [[[100 + 60 * np.cos(a) + i, 120 + 40 * np.sin(a)] for a in angles] for i in range(40)]


def _person() -> str:
    return "1 " + " ".join(f"{i}:1" for i in np.sort(_RNG.choice(np.arange(1, 124), 14, replace=False)))


PLAIN_NUMBERS: dict[str, bytes] = {
    "features30.csv": _table(_FEATURES[:, :30]),
    "features100.csv": _table(_FEATURES),
    "features.json": json.dumps(_FEATURES[:, :30].round(3).tolist()).encode(),
    "survey.csv": _table(_RNG.integers(0, 101, (300, 90)), "{}"),
    "tokens.json": json.dumps({"ids": _RNG.zipf(1.3, (40, 512)).clip(0, 50_000).tolist()}).encode(),
    "genes.tsv": _table(_RNG.lognormal(_RNG.normal(2, 1.5, (400, 1)), 0.4, (400, 80)), between="\t"),
    "sorted.csv": _table(np.sort(_RNG.random((300, 70)), axis=1)),
    "growth.csv": _table((50 + 30 * (1 - np.exp(-np.arange(80) / 12))) * _RNG.normal(1, 0.05, (200, 1))),
    "landmarks.csv": _table(_RNG.normal(0, 2, (300, 136)) + np.linspace(50, 300, 136)),
    "hours.csv": _table(20 + 8 * np.sin(_HOURS / 4) + 5 * np.sin(_DAYS / 58) + _RNG.normal(size=(365, 24))),
    "correlations.csv": _table(np.corrcoef(_GROUPS)),
    "distances.csv": _table(np.abs(_AT[:, None] - _AT)),
    "walks.csv": _table(100 * np.exp(np.cumsum(_RNG.normal(0, 0.01, (500, 80)), axis=0))),
    "probabilities.csv": _table(_RNG.dirichlet(np.ones(300), 90)),
    "contours.json": json.dumps(_contours()).encode(),
    "pulse.csv": _table(np.round(_beats(0.05)[:, None], 4)),
    "pulse.i2": (_beats(0.05) * 1000).astype("<i2").tobytes(),
    "vitals.csv": _table(np.cumsum(_RNG.normal(0, 0.5, (3000, 6)), axis=0)),
    "plates.csv": "\n".join(f"{p},{r},{c},{_RNG.random():.4f}" for p, r, c in np.ndindex(20, 8, 12)).encode(),
    "adults.svm": "\n".join(_person() for _ in range(500)).encode(),
    "conf.yaml": b"lr: 0.1\nlayers:\n" + b"".join(b"  - %d\n" % i for i in range(900)),
    "search.csv": b"lr,wd,auc\n" + _table(_RNG.random((900, 3))),
    "times.u8": np.cumsum(np.random.default_rng(0).integers(1, 9, 30_000)).astype("<u8").tobytes(),
    "dump.txt": _dumped(_RNG.bytes(20_000), "{:06o}", 2),
    "keys.txt": b"\n".join(base64.b32encode(_RNG.bytes(20)) for _ in range(400)),
    "prose.b32": base64.b32encode(b"The patient was seen in the clinic. " * 300),
    "grid.parquet": parquet(x=np.tile(np.arange(40), 40).tolist(), v=_RNG.normal(size=1600).tolist()),
}  # fmt: skip
"""Tables and lists of numbers as people have them beside pictures: nobody is told of them."""
