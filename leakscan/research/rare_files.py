"""Good files of rarer kinds, and of kinds that are several files: headers and voxels, slices of a series.

The files of one image share a name up to a ``~``; what stands behind it is the name that each has beside the
others. Samples that nibabel ships stand for kinds that nothing here writes.
"""

from __future__ import annotations

import base64
import contextlib
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Files = Iterator[tuple[str, bytes]]

_SAMPLES = {
    "brik~scaled+tlrc": (".HEAD", ".BRIK"),
    "parrec~phantom_varscale": (".PAR", ".REC"),
    "tinypet": (".v",),
    "tiny": (".mnc",),
}
"""Samples of nibabel, by our name and the endings of their files."""


def rare_rasters(scene: npt.NDArray[np.uint8], folder: Path) -> Files:
    """Rare pictures, and usual ones in rare clothes.

    Args:
        scene: The picture, ``(side, side)``.
        folder: Where to write.

    Example::

        names = [name for name, _ in rare_rasters(scene(), Path("work"))]
    """
    grey, colour = Image.fromarray(scene), Image.fromarray(np.stack([scene, scene[::-1], scene.T], -1))
    for name, picture in (
        ("film.tga", grey), ("film.pcx", grey), ("film.sgi", grey), ("film.dds", colour),
        ("film.qoi", colour),
    ):  # fmt: skip
        with contextlib.suppress(Exception):  # this Pillow does not write it
            picture.save(folder / name)
            yield name, (folder / name).read_bytes()
    high, wide = scene.shape
    words = f"P7\nWIDTH {wide}\nHEIGHT {high}\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    yield "film.pam", words.encode() + scene.tobytes()
    yield "film.pfm", f"Pf\n{wide} {high}\n-1.0\n".encode() + scene[::-1].astype("<f4").tobytes()
    text = " ".join(map(str, scene.ravel().tolist()))
    yield "text.pgm", f"P2\n# drawn\n{wide} {high}\n255\n{text}\n".encode()
    with contextlib.suppress(ImportError):
        import jpeg_ls

        yield "film.jls", bytes(jpeg_ls.encode(scene))
    with contextlib.suppress(ImportError):
        import tifffile

        tifffile.imwrite(folder / "large.tif", scene, bigtiff=True, byteorder=">")
        yield "large.tif", (folder / "large.tif").read_bytes()


def rare_packs(film: bytes, folder: Path) -> Files:
    """Pictures inside tables, and archives of rare kinds.

    Args:
        film: A PNG file.
        folder: Where to write.

    Example::

        names = [name for name, _ in rare_packs(png, Path("work"))]
    """
    pictures = pa.table({"image": [{"bytes": film, "path": "film.png"}], "label": [1]})
    for name, opened in (("films.arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
        with opened(folder / name, pictures.schema) as writer:
            writer.write_table(pictures)
        yield name, (folder / name).read_bytes()
    pq.write_table(pa.table({"scan": [base64.b64encode(film).decode()], "n": [1]}), folder / "text.parquet")
    yield "text.parquet", (folder / "text.parquet").read_bytes()
    pq.write_table(pa.table({"scans": [[{"bytes": film}] * 2]}), folder / "lists.parquet")
    yield "lists.parquet", (folder / "lists.parquet").read_bytes()
    yield "film.png.lzma", lzma.compress(film, lzma.FORMAT_ALONE)
    yield "film.png.lz4", pa.compress(film, codec="lz4", asbytes=True)
    inner, outer = io.BytesIO(), io.BytesIO()
    for stream, name, data in ((inner, "film.png", film), (outer, "more.zip", inner)):
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, data if isinstance(data, bytes) else data.getvalue())
    yield "nested.zip", outer.getvalue()
    yield "behind.zip", b"not yet a zip file" * 9 + inner.getvalue()


def rare_volumes(voxels: npt.NDArray[np.int16], folder: Path) -> Files:
    """Volumes of rarer kinds, and those that are a header and a file of voxels.

    Args:
        voxels: The volume.
        folder: Where to write.

    Example::

        names = [name for name, _ in rare_volumes(voxels, Path("work"))]
    """
    import nibabel as nib

    with contextlib.suppress(ImportError):
        import SimpleITK

        image = SimpleITK.GetImageFromArray(voxels)
        for name in ("head.vtk", "head.gipl"):
            SimpleITK.WriteImage(image, str(folder / name))
            yield name, (folder / name).read_bytes()
        for kind in ("mhd", "nhdr"):
            own = folder / kind
            own.mkdir()
            SimpleITK.WriteImage(image, str(own / f"head.{kind}"))
            yield from ((f"{kind}~{path.name}", path.read_bytes()) for path in sorted(own.iterdir()))
    pairs: dict[str, Callable[..., Any]] = {"pair": nib.Nifti1Pair, "analyze": nib.AnalyzeImage}
    for kind, make in pairs.items():
        own = folder / kind
        own.mkdir()
        nib.save(make(voxels, np.eye(4)), own / "head.img")
        yield from ((f"{kind}~{path.name}", path.read_bytes()) for path in sorted(own.iterdir()))
    with contextlib.suppress(ModuleNotFoundError):
        data = resources.files("nibabel.tests") / "data"
        for name, endings in _SAMPLES.items():
            family, _, own_name = name.rpartition("~")
            for ending in endings:
                sample = data / f"{own_name}{ending}"
                if sample.is_file():
                    yield f"{family}~{own_name}{ending}".lstrip("~"), sample.read_bytes()
