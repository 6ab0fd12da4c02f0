"""Good files of the kinds that came last: old rasters, lists as people write them, pictures in other files.

Those that hold pictures without being images or archives are named by leakscan and not read; they are here
because something looks into each of them.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Files = Iterator[tuple[str, bytes]]

LISTS = (
    "list.xlsx", "list.yaml", "list.jsonl", "records.json", "coco.json", "via.json", "dataset.json",
    "bare.csv", "list.tsv", "list.csv.gz", "list.feather",
)  # fmt: skip
"""Lists of images, each of which names ``film.png``."""


NAMED = (
    "numbers.parquet", "page.html", "notes.ipynb", "mail.eml", "films.pickle", "old.pickle", "dump.sql",
    "pages.pdf", "pixels.bin", "pixels.csv", "film.b64", "film.dcmjson", "films.h5",
)  # fmt: skip
"""Files that hold pictures and are not read: each has a row that says so, or that it is no image."""


def later_rasters(scene: npt.NDArray[np.uint8]) -> Files:
    """Pictures of old and of rare formats.

    Args:
        scene: The picture, ``(side, side)``.

    Example:
        >>> from leakscan.research.good_files import scene
        >>> "film.ras" in dict(later_rasters(scene()))
        True
    """
    grey, other = Image.fromarray(scene), Image.fromarray(scene[::-1].copy())
    high, wide = scene.shape
    how: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "two.jpg": (grey, "MPO", {"save_all": True, "append_images": [other]}),
        "film.ico": (grey, "ICO", {}),
        "film.icns": (grey, "ICNS", {}),
        "film.xbm": (grey.convert("1"), "XBM", {}),
        "film.msp": (grey.convert("1"), "MSP", {}),
    }
    for name, (picture, format, options) in how.items():
        with contextlib.suppress(Exception):  # this Pillow does not write it
            picture.save(stream := io.BytesIO(), format, **options)
            yield name, stream.getvalue()
    grey.save(stream := io.BytesIO(), "PCX")
    page = stream.getvalue()
    yield "pages.dcx", struct.pack("<4I", 0x3ADE68B1, 16, 16 + len(page), 0) + page + page
    yield "film.ras", struct.pack(">8I", 0x59A66A95, wide, high, 8, scene.size, 1, 0, 0) + scene.tobytes()
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, high, wide, 8, 1)
    yield "film.psd", head + bytes(12) + b"\0\0" + scene.tobytes()
    rows = ",\n".join('"' + "".join(" .xX"[int(value) // 64] for value in row) + '"' for row in scene)
    colours = ",\n".join(f'"{c} c #{n * 85:02x}{n * 85:02x}{n * 85:02x}"' for n, c in enumerate(" .xX"))
    yield (
        "film.xpm",
        f'/* XPM */\nstatic char *film[] = {{\n"{wide} {high} 4 1",\n{colours},\n{rows}}};'.encode(),
    )


def later_lists(folder: Path) -> Files:
    """Lists of images as people write them.

    Args:
        folder: Where to write.

    Example:
        >>> sorted(set(LISTS) - set(dict(later_lists(Path()))))
        []
    """
    rows = [{"path": "film.png", "subject_id": "P1", "split": "train"}]
    yield "list.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    yield "records.json", json.dumps(rows).encode()
    yield "list.yaml", b"- path: film.png\n  subject_id: P1\n"
    images = [{"id": 1, "file_name": "film.png", "width": 40, "height": 40}]
    yield "coco.json", json.dumps({"images": images, "annotations": [], "categories": []}).encode()
    via = {"film.png123": {"filename": "film.png", "size": 123, "regions": [], "file_attributes": {}}}
    yield "via.json", json.dumps(via).encode()
    training = [{"image": "./film.png", "label": "./film.png"}]
    yield (
        "dataset.json",
        json.dumps({"numTraining": 1, "training": training, "test": ["./film.png"]}).encode(),
    )
    yield "bare.csv", b"film.png\nfilm.png\n"
    yield "list.tsv", b"path\tsubject_id\nfilm.png\tP1\n"
    yield "list.csv.gz", gzip.compress(b"path,subject_id\nfilm.png,P1\n", mtime=0)
    from pyarrow import feather

    feather.write_feather(pa.table({"path": ["film.png"], "subject_id": ["P1"]}), folder / "list.feather")
    yield "list.feather", (folder / "list.feather").read_bytes()
    with contextlib.suppress(ImportError):
        import openpyxl

        book = openpyxl.Workbook()
        for line in (["path", "subject_id"], ["film.png", "P1"]):
            book.active.append(line)
        book.save(stream := io.BytesIO())
        yield "list.xlsx", stream.getvalue()


def later_packs(film: bytes, folder: Path) -> Files:
    """Pictures in archives of several parts, in documents, in odd cells of tables, and in other files.

    Args:
        film: A PNG file.
        folder: Where to write.

    Example::

        names = [name for name, _ in later_packs(png, Path("work"))]
    """
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        archive.writestr("word/media/image1.png", film)
        archive.writestr("[Content_Types].xml", "<Types/>")
    yield "films.docx", stream.getvalue()
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        archive.writestr("film.png", film)
    whole = stream.getvalue()
    half = len(whole) // 2
    yield "parts~films.zip.001", whole[:half]
    yield "parts~films.zip.002", whole[half:]
    words = [film.hex(), base64.urlsafe_b64encode(film).decode(), json.dumps(list(film))]
    cells: dict[str, Any] = {
        "hex.parquet": pa.array([words[0]]),
        "url.parquet": pa.array([words[1]]),
        "numbers.parquet": pa.array([words[2]]),
        "dictionary.parquet": pa.array([film, film]).dictionary_encode(),
        "struct.parquet": pa.array([{"image": {"bytes": film, "path": None}}]),
    }
    for name, array in cells.items():
        pq.write_table(pa.table({"image": array}), folder / name)
        yield name, (folder / name).read_bytes()
    inline = base64.b64encode(film).decode()
    yield "page.html", f'<html><img src="data:image/png;base64,{inline}"></html>'.encode()
    cell = {"cell_type": "code", "outputs": [{"data": {"image/png": inline}}], "source": []}
    yield "notes.ipynb", json.dumps({"cells": [cell], "nbformat": 4}).encode()
    mail = f"MIME-Version: 1.0\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n{inline}\n"
    yield "mail.eml", mail.encode()
    yield "films.pickle", pickle.dumps({"film": film, "pixels": np.frombuffer(film[:400], np.uint8)}, 4)
    yield "old.pickle", pickle.dumps([film, [1.5] * 400], 0)
    yield "dump.sql", f"INSERT INTO films VALUES (1, X'{film.hex()}');\n".encode()
    yield (
        "pages.pdf",
        (
            b"%PDF-1.4\n1 0 obj<</Type/XObject/Subtype/Image/Width 40/Height 40/Length 9>>stream\nabcdefghi\n"
            b"endstream endobj\ntrailer<<>>\n%%EOF"
        ),
    )
    pixels = np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8)
    yield "pixels.bin", pixels.tobytes()
    yield "pixels.csv", "\n".join(",".join(map(str, row)) for row in pixels.tolist()).encode()
    yield "film.b64", base64.encodebytes(film)
    yield "film.dcmjson", json.dumps({"7FE00010": {"vr": "OB", "InlineBinary": inline}}).encode()
    with contextlib.suppress(ImportError):
        import h5py

        with h5py.File(folder / "films.h5", "w") as file:
            file.create_dataset("images", data=np.stack([pixels] * 3))
        yield "films.h5", (folder / "films.h5").read_bytes()
