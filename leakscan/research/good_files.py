"""One small good file of every kind that leakscan reads, to be damaged by ``mutated_files``.

Images are drawn here; nothing comes from a person. Kinds whose writer is not installed are left out.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import json
import lzma
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from leakscan import tables
from leakscan.fingerprint.encoders.registry import cards
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.research.later_files import later_lists, later_packs, later_rasters
from leakscan.research.rare_files import rare_packs, rare_rasters, rare_volumes
from leakscan.review.verdicts import Verdict, VerdictFile

Pixels = npt.NDArray[np.uint8]

_PYDICOM_SYNTAXES = {
    "rle": uid.RLELossless,
    "jpegls": uid.JPEGLSLossless,
    "jpegls-near": uid.JPEGLSNearLossless,
    "jpeg2000": uid.JPEG2000Lossless,
    "jpeg2000-lossy": uid.JPEG2000,
}
_LOSSY: dict[str, dict[str, Any]] = {"jpegls-near": {"jls_error": 2}, "jpeg2000-lossy": {"j2k_cr": [5]}}
_GDCM_SYNTAXES = {"jpeg-lossless": "JPEGLosslessProcess14_1", "jpeg-12-bit": "JPEGExtendedProcess2_4"}


def scene(side: int = 40) -> Pixels:
    """A smooth picture without symmetry, ``(side, side)`` uint8.

    Example:
        >>> scene(8).shape
        (8, 8)
    """
    y, x = np.mgrid[:side, :side]
    wave = np.sin(x / 5) + np.cos(y / 3 + x / 11) + x / side - 0.5 * y / side
    return np.asarray((wave - wave.min()) / np.ptp(wave) * 255, np.uint8)


def good_files() -> dict[str, bytes]:
    """The bytes of one good file of every kind, by a name with its usual ending.

    Example:
        >>> {"plain.dcm", "head.nii.gz", "film.png", "films.csv", "card.json"} <= set(good_files())
        True
    """
    made: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        for make in (_dicom, _rasters, _volumes, _packed, _house):
            for key, data in make(folder):
                made[key] = data
    return made


def _film(pixels: npt.NDArray[Any], **elements: Any) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3.9"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    ds.Modality, ds.PatientID, ds.StudyDate = "CR", "P1", "20200131"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    bits = pixels.dtype.itemsize * 8
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits, bits - 1, 0
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def _saved(ds: Dataset, **how: Any) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=how.pop("enforce", True), **how)
    return stream.getvalue()


def _dicom(folder: Path) -> Iterator[tuple[str, bytes]]:
    deep = scene().astype(np.uint16) * 16
    yield "plain.dcm", _saved(_film(deep, BitsStored=12, HighBit=11, WindowCenter="2000", WindowWidth="900"))
    for key, syntax in (("implicit", uid.ImplicitVRLittleEndian), ("big", uid.ExplicitVRBigEndian)):
        ds = _film(deep)
        ds.file_meta.TransferSyntaxUID = syntax
        if key == "big":
            ds.PixelData = deep.astype(">u2").tobytes()
        yield f"{key}.dcm", _saved(ds)
    ds = _film(deep)
    ds.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    yield "deflated.dcm", _saved(ds)
    yield "frames.dcm", _saved(_film(np.stack([deep, deep + np.uint16(1)])))
    for key, syntax in _PYDICOM_SYNTAXES.items():
        with contextlib.suppress(Exception):  # its encoder is not installed
            ds = _film(deep)
            ds.compress(syntax, generate_instance_uid=False, **_LOSSY.get(key, {}))
            yield f"{key}.dcm", _saved(ds)
    stream = io.BytesIO()
    Image.fromarray(scene()).save(stream, "JPEG")
    ds = _film(scene())
    ds.PixelData, ds.file_meta.TransferSyntaxUID = encapsulate([stream.getvalue()]), uid.JPEGBaseline8Bit
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    yield "jpeg.dcm", _saved(ds)
    for number in range(3):
        where = {"ImagePositionPatient": [0, 0, 3 * number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        slice_ = _film(deep + np.uint16(number), Modality="MR", InstanceNumber=number + 1, **where)
        slice_.SOPClassUID, slice_.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", f"1.2.3.9.{number}"
        slice_.PixelSpacing = [1, 1]
        yield f"series~{number}.dcm", _saved(slice_)
    (folder / "plain").write_bytes(_saved(_film(deep, BitsStored=12, HighBit=11)))
    for key, name in _GDCM_SYNTAXES.items():
        with contextlib.suppress(ImportError):
            yield f"{key}.dcm", _by_gdcm(folder / "plain", folder / key, name)


def _by_gdcm(source: Path, target: Path, syntax: str) -> bytes:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    if "Extended" in syntax:
        codec = gdcm.JPEGCodec()
        codec.SetLossless(False)
        change.SetUserCodec(codec)
    change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(target))
    writer.Write()
    return target.read_bytes()


def _rasters(folder: Path) -> Iterator[tuple[str, bytes]]:
    grey = Image.fromarray(scene())
    colour = Image.fromarray(np.stack([scene(), scene()[::-1], scene().T], -1))
    others = [Image.fromarray(scene()[::-1].copy())]
    how: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "film.png": (grey, {}),
        "deep.png": (Image.fromarray(scene().astype(np.uint16) * 16), {}),
        "colour.png": (colour, {}),
        "moving.png": (grey, {"save_all": True, "append_images": others}),
        "film.jpg": (grey, {}),
        "colour.jpg": (colour, {"progressive": True}),
        "film.tif": (grey, {}),
        "packed.tif": (grey, {"compression": "tiff_lzw"}),
        "jpeg.tif": (colour, {"compression": "jpeg"}),
        "pages.tif": (grey, {"save_all": True, "append_images": others, "compression": "tiff_deflate"}),
        "film.webp": (colour, {"lossless": True}),
        "moving.webp": (grey, {"save_all": True, "append_images": others}),
        "film.bmp": (grey, {}),
        "film.gif": (grey, {"save_all": True, "append_images": others}),
        "film.jp2": (grey, {}),
        "film.avif": (grey, {}),
        "film.pgm": (grey, {}),
        "film.ppm": (colour, {}),
    }
    for name, (picture, options) in how.items():
        with contextlib.suppress(Exception):  # Pillow was built without its library
            picture.save(folder / name, **options)
            yield name, (folder / name).read_bytes()
    yield from rare_rasters(scene(), folder)
    yield from later_rasters(scene())
    with contextlib.suppress(ImportError):
        import pillow_heif

        stream = io.BytesIO()
        pillow_heif.from_pillow(grey).save(stream)
        yield "film.heic", stream.getvalue()
    with contextlib.suppress(ImportError):
        import imagecodecs

        yield "film.jxl", bytes(imagecodecs.jpegxl_encode(scene()))
    with contextlib.suppress(ImportError):
        import tifffile

        tifffile.imwrite(folder / "tiled.tif", scene(64), tile=(16, 16), compression="jpeg2000")
        yield "tiled.tif", (folder / "tiled.tif").read_bytes()


def _volumes(folder: Path) -> Iterator[tuple[str, bytes]]:
    nib: Any = importlib.import_module("nibabel")
    voxels = np.stack([np.roll(scene(16), k, 0) for k in range(12)], -1).astype(np.int16)
    for name, image in (
        ("head.nii", nib.Nifti1Image(voxels, np.eye(4))),
        ("head2.nii", nib.Nifti2Image(voxels, np.eye(4))),
        ("times.nii", nib.Nifti1Image(np.stack([voxels] * 2, -1), np.eye(4))),
        ("head.mgh", nib.MGHImage(voxels, np.eye(4))),
    ):
        nib.save(image, folder / name)
        yield name, (folder / name).read_bytes()
        if name.startswith("head."):
            packed = "head.nii.gz" if name.endswith("nii") else "head.mgz"
            yield packed, gzip.compress((folder / name).read_bytes(), mtime=0)
    with contextlib.suppress(ImportError):
        import SimpleITK

        for name in ("head.mha", "head.nrrd"):
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(folder / name))
            yield name, (folder / name).read_bytes()
    with contextlib.suppress(ImportError):
        import h5py

        with h5py.File(folder / "head.mnc", "w") as file:
            image = file.create_dataset("minc-2.0/image/0/image", data=voxels)
            image.attrs["dimorder"] = np.bytes_("zspace,yspace,xspace")
            image.attrs["valid_range"] = [0.0, 255.0]
            file["minc-2.0/image/0/image-min"], file["minc-2.0/image/0/image-max"] = 0.0, 255.0
            for axis, length in zip("zyx", voxels.shape, strict=True):
                attributes = file.create_dataset(f"minc-2.0/dimensions/{axis}space", data=0).attrs
                attributes["length"], attributes["start"], attributes["step"] = length, 0.0, 1.0
        yield "head.mnc", (folder / "head.mnc").read_bytes()
    yield from rare_volumes(voxels, folder)
    stream = io.BytesIO()
    np.save(stream, voxels)
    yield "head.npy", stream.getvalue()
    stream = io.BytesIO()
    np.savez_compressed(stream, a=scene(), b=scene())
    yield "films.npz", stream.getvalue()


def _packed(folder: Path) -> Iterator[tuple[str, bytes]]:
    film = (folder / "film.png").read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ward/film.png", film)
        archive.writestr("ward/plain.dcm", (folder / "plain").read_bytes())
    yield "films.zip", stream.getvalue()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("film.png")
        member.size = len(film)
        tar.addfile(member, io.BytesIO(film))
    yield "films.tar", stream.getvalue()
    yield "films.tar.gz", gzip.compress(stream.getvalue(), mtime=0)
    yield "film.png.bz2", bz2.compress(film)
    yield "film.png.xz", lzma.compress(film)
    yield "film.png.zst", pa.compress(film, codec="zstd", asbytes=True)
    pq.write_table(pa.table({"image": [{"bytes": film, "path": "film.png"}], "label": [1]}), folder / "t")
    yield "films.parquet", (folder / "t").read_bytes()
    yield from rare_packs(film, folder)
    yield from later_packs(film, folder)
    yield from later_lists(folder)


def _house(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What leakscan itself writes, and what people write for it."""
    card, home = cards()["cxr-lite0"]
    yield "card.json", (home / "card.json").read_bytes()
    yield "calibration.safetensors", (home / "calibration.safetensors").read_bytes()
    yield "weights.safetensors", (home / card.weights).read_bytes()[:200_000]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("made-up/card.json", (home / "card.json").read_bytes())
        archive.writestr("made-up/weights.safetensors", b"\x08" + bytes(7) + b"{}      ")
        archive.writestr("made-up/README.md", "A model.")
    yield "model.zip", stream.getvalue()
    yield "films.csv", b"path,subject_id,split,kind\nfilm.png,P1,train,\nb/film2.png,P2,test,other_2d\n"
    pq.write_table(pa.table({"path": ["film.png"], "subject_id": ["P1"]}), folder / "manifest.parquet")
    yield "manifest.parquet", (folder / "manifest.parquet").read_bytes()
    yield "leakscan.toml", b'limits.workers = 2\n[reading]\nkind = "other_2d"\nexclude = ["a", "b/"]\n'
    yield "drop.csv", b"dataset,image_id,path,pixel_hash\nA,9f,film.png,px1:00\n"
    store = Store.create(folder / "a.fps", StoreInfo(dataset="a", key_id="0011aabb"))
    store.append([{"image_id": "1", "path": "a.png", "prepared_with": "way", "phash": [1] * 8}] * 3)
    yield "shard.parquet", next((folder / "a.fps" / "shards").iterdir()).read_bytes()
    rich = Store.create(folder / "rich.fps", StoreInfo(dataset="a", key_id="0011aabb"))
    kept = {"kind": "chest_radiograph", "fingerprint": np.ones(128, np.float16)}
    bytes_of = {"preview": (folder / "film.png").read_bytes(), "keypoints": bytes(64), "details": bytes(640)}
    first = {"image_id": "1", "path": "a.png", "status": "ok", "pixel_hash": "px1:00", "prepared_with": "way"}
    rich.append([{**first, **kept, **bytes_of, "phash": [1] * 8, "shape": [40, 40]}])
    yield "rich.parquet", next((folder / "rich.fps" / "shards").iterdir()).read_bytes()
    yield "store.json", (folder / "a.fps" / "store.json").read_bytes()
    file = VerdictFile(folder / "verdicts.parquet")
    said = [
        Verdict(by="ann", verdict="same", scope="pair", pictures_a=(f"p{i}",), pictures_b=("q",))
        for i in range(3)
    ]
    file.append(said)
    yield "verdicts.parquet", file.path.read_bytes()
    from leakscan.review.verdict_csv import to_csv

    yield "verdicts.csv", to_csv(said).encode()
    pair = {"image_a": "1", "image_b": "2", "dataset_a": "A", "dataset_b": "B", "relation": "same_file"}
    tables.write(tables.from_rows([pair], tables.PAIRS), folder / "pairs.parquet")
    yield "pairs.parquet", (folder / "pairs.parquet").read_bytes()
    yield "like.json", json.dumps(_summary()).encode()
    yield "summary.json", json.dumps({"format": 1, "datasets": [], "exit_code": 0}).encode()
    yield "project.key", bytes(range(32))
    yield "identity.key", bytes(range(32))
    yield "pairs.sqlite3", _memory(folder / "pairs.sqlite3")


def _summary() -> dict[str, Any]:
    """What ``compare --like`` reads of a run."""
    from leakscan.run.like import made_with
    from leakscan.settings import Settings

    made = made_with(Settings())
    return {
        "format": 1,
        "made_with": made,
        "sources": {"A": "a", "B": "b"},
        "audit": None,
        "encoders": {"cxr-lite0": {}},
        "datasets": [{"name": "A", "status": {"ok": 1}}, {"name": "B", "status": {"ok": 2}}],
    }


def _memory(path: Path) -> bytes:
    from leakscan.decide.copies import NOT_ALIGNED
    from leakscan.run.memory import PairMemory

    PairMemory(path).keep_copy_checks([("a", "b", NOT_ALIGNED)])
    return path.read_bytes()
