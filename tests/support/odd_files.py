"""Every kind of file that people hand us, small, with the right answer beside it.

Each maker writes one odd file for a scene into a folder; a plain PNG of the same scene is its partner.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
from PIL import Image

from support import dicom_maker
from support.makers import Picture, save

Maker = Callable[[Path, Picture], None]


@dataclass(frozen=True)
class OddFile:
    """One kind.

    Attributes:
        name: What it is, as a test's name says it.
        write: Writes it into a folder of its own.
        relations: What may be found between it and the plain copy.
        needs: The package of an extra without which it is named and not read, or empty.
    """

    name: str
    write: Maker
    relations: tuple[str, ...] = ("same_pixels",)
    needs: str = ""


def texture(seed: int, side: int = 72) -> Picture:
    """A picture like no other with so much in it that strangers are told apart at once."""
    coarse = np.random.default_rng([26, seed]).integers(0, 256, (side // 4, side // 4), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def png(pixels: Picture, **how: object) -> bytes:
    """The bytes of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **how)
    return stream.getvalue()


def dicom(pixels: Picture, preamble: bytes = b"", **elements: object) -> bytes:
    """The bytes of a DICOM film, whose first bytes may pretend to be of another format."""
    ds = dicom_maker.dataset(pixels, **elements)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    data = bytearray(stream.getvalue())
    data[: len(preamble)] = preamble
    return bytes(data)


def bare_dicom(pixels: Picture, little: bool, implicit: bool) -> bytes:
    """A DICOM file without preamble and file meta information."""
    ds = dicom_maker.dataset(pixels.astype(np.uint16), PatientID=None)
    if not little:
        ds.PixelData = pixels.astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
    del ds.file_meta
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return stream.getvalue()


def _bytes(name: str, make: Callable[[Picture], bytes]) -> Maker:
    return lambda folder, pixels: _write(folder / name, make(pixels))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _pillow(name: str, **how: object) -> Maker:
    return lambda folder, pixels: save(folder / name, pixels, **how) and None


def _by(package: str, name: str, make: Callable[[object, Picture], bytes]) -> Maker:
    def write(folder: Path, pixels: Picture) -> None:
        _write(folder / name, make(__import__(package), pixels))

    return write


def _heic(_: object, pixels: Picture) -> bytes:
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=-1)
    return stream.getvalue()


def zipped(**files: bytes) -> bytes:
    """A zip file of files by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(mode: str = "w", **files: bytes) -> bytes:
    """A tar file of files by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def hugging_face(pixels: Picture) -> bytes:
    """A Parquet table with a column of pictures, as the datasets library writes it."""
    stream = io.BytesIO()
    image = {"bytes": png(pixels, compress_level=2), "path": "film.png"}
    pq.write_table(pa.table({"image": [image], "label": [1]}), stream)
    return stream.getvalue()


def lz4(data: bytes) -> bytes:
    """Bytes as a frame of LZ4."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as packed:
        packed.write(data)
    return bytes(sink.getvalue())


def as_text(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


def parquet(**columns: object) -> bytes:
    """A Parquet table of columns by name."""
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, row_group_size=4)
    return stream.getvalue()


def arrow_stream(pixels: Picture) -> bytes:
    """An Arrow stream, as the datasets library saves to disk."""
    table = pa.table({"image": [{"bytes": png(pixels, compress_level=2), "path": "film.png"}]})
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def behind_nothing(pixels: Picture) -> bytes:
    """A table whose first rows hold no picture."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    film = {"bytes": png(pixels), "path": None}
    return parquet(image=pa.array([None] * 9 + [film], kind))


def _png_behind_a_text(folder: Path, pixels: Picture) -> None:
    """An animation that says so only after a long text; the film is its second frame."""
    _later_frame("a.png")(folder, pixels)
    raw = (folder / "a.png").read_bytes()
    body = b"tEXtComment\0" + b"x" * 5000
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (folder / "a.png").write_bytes(raw[:33] + chunk + raw[33:])


def _long_mha(folder: Path, pixels: Picture) -> None:
    """A MetaImage with many keys before those that matter."""
    _slice_as("a.mha", "sitk")(folder, pixels)
    raw = (folder / "a.mha").read_bytes()
    notes = b"".join(b"Note%d = %s\n" % (i, b"y" * 200) for i in range(20))
    (folder / "a.mha").write_bytes(raw.replace(b"NDims", notes + b"NDims", 1))


def _tiff(name: str, **how: object) -> Maker:
    def write(folder: Path, pixels: Picture) -> None:
        import tifffile

        folder.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, pixels, **how)

    return write


def _later_page(folder: Path, pixels: Picture) -> None:
    """A stack whose later pages have no directories; the film is the third."""
    import tifffile

    others = [texture(int(pixels[0, 0]) + 1000 * k, len(pixels)) for k in range(2, 5)]
    folder.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        folder / "stack.tif",
        np.stack([*others[:2], pixels, others[2]]),
        truncate=True,
        photometric="minisblack",
    )


def _later_frame(name: str, **how: object) -> Maker:
    """An animation; the film is its second frame."""

    def write(folder: Path, pixels: Picture) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        other = Image.fromarray(texture(int(pixels[0, 0]) + 1000, len(pixels)))
        other.save(folder / name, save_all=True, append_images=[Image.fromarray(pixels)], **how)

    return write


def _in_alpha(folder: Path, pixels: Picture) -> None:
    """A picture that is black everywhere and lives in its alpha channel."""
    alpha = np.zeros((*pixels.shape, 4), np.uint8)
    alpha[..., 3] = pixels
    save(folder / "alpha.png", alpha)


def _slice_as(name: str, kind: str) -> Maker:
    def write(folder: Path, pixels: Picture) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # One slice: rows run to the feet and columns to the left, as in the readers of volumes.
        voxels = np.ascontiguousarray(pixels.T[::-1, ::-1, None]).astype(np.int16)
        if kind == "mgh":
            nib.save(nib.MGHImage(voxels, np.eye(4)), folder / name)
            return
        import SimpleITK

        image = SimpleITK.GetImageFromArray(voxels.T)
        image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])  # ITK counts to the left and the back
        SimpleITK.WriteImage(image, str(folder / name))

    return write


def _nifti_with_extension(folder: Path, pixels: Picture) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(pixels.T[::-1, ::-1, None]).astype(np.int16), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"x" * 3000))
    nib.save(image, folder / "extension.nii")


def _link_into(folder: Path, pixels: Picture) -> None:
    save(folder / ".pool" / "k", pixels, format="PNG", compress_level=3)
    (folder / "linked").symlink_to(".pool/k")


def text_pgm(pixels: Picture) -> bytes:
    """A grey map in words."""
    height, width = pixels.shape
    return f"P2\n# a film\n{width} {height}\n255\n".encode() + b" ".join(b"%d" % v for v in pixels.flat)


def noted_pgm(pixels: Picture) -> bytes:
    """A grey map whose comments are longer than what is read of a file to know it."""
    height, width = pixels.shape
    return (
        b"P5\n" + b"# written by a scanner\n" * 200 + f"{width} {height}\n255\n".encode() + pixels.tobytes()
    )


def float_map(pixels: Picture) -> bytes:
    """A map of floats, from the last row to the first."""
    height, width = pixels.shape
    return f"Pf\n{width} {height}\n-1.0\n".encode() + pixels[::-1].astype("<f4").tobytes()


def any_map(pixels: Picture) -> bytes:
    """A map whose header names its fields."""
    height, width = pixels.shape
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n"
    return head.encode() + pixels.tobytes()


def deep_pgm(pixels: Picture) -> bytes:
    """A grey map of 12 bits."""
    height, width = pixels.shape
    return f"P5\n{width} {height}\n4095\n".encode() + (pixels.astype(np.uint16) * 16).astype(">u2").tobytes()


EITHER = ("same_file", "same_pixels")
ALTERED = ("same_pixels", "same_image")

ODD_FILES: tuple[OddFile, ...] = (
    OddFile("dicom that starts like a TIFF", _bytes("a.dcm", lambda p: dicom(p, b"II*\0"))),
    OddFile("dicom that starts like a big TIFF", _bytes("a", lambda p: dicom(p, b"MM\0*"))),
    OddFile("dicom that starts like a PNG", _bytes("a.dcm", lambda p: dicom(p, b"\x89PNG\r\n\x1a\n"))),
    OddFile("dicom that starts like a zip", _bytes("a.dcm", lambda p: dicom(p, b"PK\3\4"))),
    OddFile("dicom that starts like gzip", _bytes("a.dcm", lambda p: dicom(p, b"\x1f\x8b\x08"))),
    OddFile("big endian dicom without anything", _bytes("IM1", lambda p: bare_dicom(p, False, False))),
    OddFile("explicit dicom without a preamble", _bytes("IM1", lambda p: bare_dicom(p, True, False))),
    OddFile("implicit dicom without a preamble", _bytes("IM1", lambda p: bare_dicom(p, True, True))),
    OddFile("nifti with a header extension", _nifti_with_extension),
    OddFile("gif", _pillow("a.gif")),
    OddFile("jpeg 2000", _pillow("a.jp2", irreversible=False)),
    OddFile("raw jpeg 2000", _pillow("a.j2k", irreversible=False)),
    OddFile("pgm", _pillow("a.pgm")),
    OddFile("text pgm", _bytes("a.pgm", text_pgm)),
    OddFile("12-bit pgm", _bytes("a.pgm", deep_pgm)),
    OddFile("pgm with long comments", _bytes("a.pgm", noted_pgm)),
    OddFile("map of floats", _bytes("a.pfm", float_map)),
    OddFile("pam", _bytes("a.pam", any_map)),
    OddFile("pcx", _pillow("a.pcx")),
    OddFile("sgi", _pillow("a.sgi")),
    OddFile("tga", _pillow("a.tga")),
    OddFile("qoi", lambda f, p: save(f / "a.qoi", np.stack([p] * 3, -1)) and None),
    OddFile("bitmap without a file header", _pillow("a.dib")),
    OddFile("jpeg-ls", _by("imagecodecs", "a.jls", lambda m, p: m.jpegls_encode(p)), needs="imagecodecs"),  # type: ignore[attr-defined]
    OddFile(
        "jpeg of 12 bits",
        _by("imagecodecs", "a.jpg", lambda m, p: m.ljpeg_encode(p.astype(np.uint16) * 16, bitspersample=12)),  # type: ignore[attr-defined]
        needs="imagecodecs",
    ),
    OddFile("ppm", lambda f, p: save(f / "a.ppm", np.stack([p] * 3, -1)) and None),
    OddFile("avif", _pillow("a.avif", quality=100), ALTERED),
    OddFile("heic", _by("pillow_heif", "a.heic", _heic), ALTERED, "pillow_heif"),
    OddFile(
        "jpeg xl",
        _by("imagecodecs", "a.jxl", lambda m, p: m.jpegxl_encode(p, lossless=True)),  # type: ignore[attr-defined]
        needs="imagecodecs",
    ),
    OddFile("tiff in jpeg 2000", _tiff("a.tif", compression="jpeg2000"), needs="tifffile"),
    OddFile("tiff in lerc", _tiff("a.tif", compression="lerc"), needs="tifffile"),
    OddFile("tiff in jpeg xl", _tiff("a.tif", compression="jpegxl"), needs="tifffile"),
    OddFile("big-endian big tiff", _tiff("a.tif", bigtiff=True, byteorder=">"), needs="tifffile"),
    OddFile("page without a directory", _later_page),
    OddFile("second frame of an animated webp", _later_frame("a.webp", lossless=True)),
    OddFile("second frame of an animated png", _later_frame("a.png")),
    OddFile("second frame of a gif", _later_frame("a.gif")),
    OddFile("animated png behind a long text", _png_behind_a_text),
    OddFile("drawing in the alpha channel", _in_alpha),
    OddFile("mgz", _slice_as("a.mgz", "mgh")),
    OddFile("mha", _slice_as("a.mha", "sitk"), needs="SimpleITK"),
    OddFile("mhd with raw", _slice_as("a.mhd", "sitk"), needs="SimpleITK"),
    OddFile("mha with a long header", _long_mha, needs="SimpleITK"),
    OddFile("gipl", _slice_as("a.gipl", "sitk"), ALTERED, needs="SimpleITK"),
    OddFile("vtk", _slice_as("a.vtk", "sitk"), ALTERED, needs="SimpleITK"),
    OddFile("nrrd", _slice_as("a.nrrd", "sitk"), needs="SimpleITK"),
    OddFile("nhdr with raw", _slice_as("a.nhdr", "sitk"), needs="SimpleITK"),
    OddFile("png in a zip", _bytes("a.zip", lambda p: zipped(**{"in/a.png": png(p)})), EITHER),
    OddFile("zip behind a greeting", _bytes("a.zip", lambda p: b"hello\n" * 500 + zipped(a=png(p))), EITHER),
    OddFile("png in a tar", _bytes("a.tar", lambda p: tarred(**{"in/a.png": png(p)})), EITHER),
    OddFile("png in a tar.gz", _bytes("a.tar.gz", lambda p: tarred("w:gz", **{"a.png": png(p)})), EITHER),
    OddFile("png in a tar.xz", _bytes("a.txz", lambda p: tarred("w:xz", **{"a.png": png(p)})), EITHER),
    OddFile(
        "webdataset shard", _bytes("0.tar", lambda p: tarred(**{"0.png": png(p), "0.json": b"{}"})), EITHER
    ),
    OddFile("dcm.gz", _bytes("a.dcm.gz", lambda p: gzip.compress(dicom(p)))),
    OddFile("png.bz2", _bytes("a.png.bz2", lambda p: bz2.compress(png(p)))),
    OddFile("png.xz", _bytes("a.png.xz", lambda p: lzma.compress(png(p)))),
    OddFile("png.zst", _bytes("a.png.zst", lambda p: pa.compress(png(p), codec="zstd", asbytes=True))),
    OddFile(
        "tar.zst",
        _bytes("a.tar.zst", lambda p: pa.compress(tarred(a=png(p)), codec="zstd", asbytes=True)),
        EITHER,
    ),
    OddFile("png.lzma", _bytes("a.png.lzma", lambda p: lzma.compress(png(p), format=lzma.FORMAT_ALONE))),
    OddFile("png.lz4", _bytes("a.png.lz4", lambda p: lz4(png(p)))),
    OddFile("picture column of a table", _bytes("a.parquet", hugging_face)),
    OddFile("arrow stream", _bytes("a.arrow", arrow_stream)),
    OddFile(
        "list of pictures in a table", _bytes("a.parquet", lambda p: parquet(i=[[{"bytes": png(p)}]])), EITHER
    ),
    OddFile(
        "picture deep in a table", _bytes("a.parquet", lambda p: parquet(i=[{"x": {"y": png(p)}}])), EITHER
    ),
    OddFile(
        "picture as text in a table", _bytes("a.parquet", lambda p: parquet(i=[as_text(png(p))])), EITHER
    ),
    OddFile("picture behind empty rows", _bytes("a.parquet", behind_nothing), EITHER),
    OddFile(
        "tar.gz in a zip",
        _bytes("a.zip", lambda p: zipped(**{"t.tar.gz": tarred("w:gz", **{"a.png": png(p)})})),
        EITHER,
    ),
    OddFile("odd dicom in a zip", _bytes("a.zip", lambda p: zipped(IM1=dicom(p, b"II*\0")))),
    OddFile("link to what is hidden", _link_into),
)
