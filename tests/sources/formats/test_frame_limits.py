"""Files of many frames: how many may be read, and that the order in which they are read changes nothing."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import open_place
from leakscan.sources.formats import decode
from leakscan.sources.open import open_source
from leakscan.types import ImageRef, Silent
from support.dicom_maker import dataset, write

COUNT = 60
Frames = list[np.ndarray]


def _pillow(name: str, **how: object) -> Callable[[Path, Frames], None]:
    def make(folder: Path, frames: Frames) -> None:
        first, *others = map(Image.fromarray, frames)
        first.save(folder / name, save_all=True, append_images=others, **how)

    return make


def _apng(folder: Path, frames: Frames) -> None:
    different = [frame.copy() for frame in frames]
    for number, frame in enumerate(different):
        frame[0, 0] = number  # Pillow writes flat frames of other greys as one
    _pillow("frames.png")(folder, different)


def _dicom(folder: Path, frames: Frames) -> None:
    film = dataset(frames[0])
    film.NumberOfFrames, film.PixelData = len(frames), b"".join(frame.tobytes() for frame in frames)
    write(folder / "cine.dcm", film)


def _rle_dicom(folder: Path, frames: Frames) -> None:
    """Every frame is an item of equal bytes, without a table of offsets."""
    film = dataset(frames[0])
    film.NumberOfFrames = len(frames)
    items = []
    for frame in frames:
        n, grey = frame.size, int(frame.flat[0])
        body = bytes([0x81, grey]) * (n // 128) + (bytes([257 - n % 128, grey]) if n % 128 > 1 else b"")
        items.append(struct.pack("<16I", 1, 64, *[0] * 14) + body + b"\0" * (len(body) % 2))
    film.PixelData = encapsulate(items, has_bot=False)
    film["PixelData"].is_undefined_length = True
    film.file_meta.TransferSyntaxUID = RLELossless
    write(folder / "cine.dcm", film)


def _imagej(folder: Path, frames: Frames) -> None:
    """One directory, behind which the pixels of all pages lie."""
    stream = io.BytesIO()
    Image.fromarray(frames[0]).save(stream, "TIFF")
    start = len(stream.getvalue())
    tags = Image.open(io.BytesIO(stream.getvalue())).tag_v2  # type: ignore[attr-defined]
    data = stream.getvalue().replace(struct.pack("<I", tags[273][0]), struct.pack("<I", start), 1)
    (folder / "stack.tif").write_bytes(data + b"".join(frame.tobytes() for frame in frames))


def _maps(folder: Path, frames: Frames) -> None:
    head = b"P5 %d %d 255\n" % frames[0].shape[::-1]
    (folder / "maps.pgm").write_bytes(b"".join(head + frame.tobytes() for frame in frames))


def _jpeg_xl(folder: Path, frames: Frames) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    (folder / "frames.jxl").write_bytes(imagecodecs.jpegxl_encode(np.stack(frames)))


def _volumes(name: str) -> Callable[[Path, Frames], None]:
    def make(folder: Path, frames: Frames) -> None:
        voxels = np.stack([np.stack([frame.T] * 2, axis=-1) for frame in frames], axis=-1)
        kind = nib.MGHImage if name.endswith((".mgh", ".mgz")) else nib.Nifti1Image
        nib.save(kind(voxels, np.eye(4)), folder / name)

    return make


def _by_simpleitk(name: str, compressed: bool) -> Callable[[Path, Frames], None]:
    def make(folder: Path, frames: Frames) -> None:
        sitk = pytest.importorskip("SimpleITK")
        voxels = np.stack([np.stack([frame] * 2) for frame in frames])
        sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=False), str(folder / name), compressed)

    return make


def _in_zip(make: Callable[[Path, Frames], None], name: str) -> Callable[[Path, Frames], None]:
    def packed(folder: Path, frames: Frames) -> None:
        make(folder, frames)
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        with zipfile.ZipFile(folder / "films.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)

    return packed


KINDS: dict[str, Callable[[Path, Frames], None]] = {
    "gif": _pillow("frames.gif"),
    "apng": _apng,
    "webp": _pillow("frames.webp", lossless=True),
    "avif": _pillow("frames.avif"),
    "tiff": _pillow("pages.tif", compression="tiff_deflate"),
    "imagej": _imagej,
    "pnm": _maps,
    "jpegxl": _jpeg_xl,
    "dicom": _dicom,
    "rle": _rle_dicom,
    "nifti": _volumes("time.nii"),
    "nifti.gz": _volumes("time.nii.gz"),
    "mgh": _volumes("time.mgz"),
    "nrrd": _by_simpleitk("time.nrrd", True),
    "metaimage": _by_simpleitk("time.mha", False),
    "npy": lambda folder, frames: np.save(folder / "films.npy", np.stack(frames)),
    "npz": lambda folder, frames: np.savez_compressed(folder / "films.npz", x=np.stack(frames)),
    "gif in a zip": _in_zip(_pillow("frames.gif"), "frames.gif"),
}


def _flat(count: int, side: int) -> Frames:
    return [np.full((side, side), grey * 3 % 256, np.uint8) for grey in range(count)]


def _found(folder: Path, **chosen: object) -> list[ImageRef]:
    options = DecodeOptions(arrays="pictures", **chosen)  # type: ignore[arg-type]
    return list(open_source(str(folder), options).scan(Silent()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_file_of_many_frames_is_one_row_that_names_the_limit(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.sources.formats.bounds._BYTES_A_FRAME", 1 << 20)  # small ones of any kind
    # Another process would not see that.
    monkeypatch.setattr(
        "leakscan.sources.formats.apart.apart", lambda function, item, seconds: function(item)
    )
    KINDS[kind](tmp_path, _flat(COUNT, 8))
    (row,) = _found(tmp_path, max_frames=10)
    assert (row.status, row.left_out) == ("unreadable", "file over the limit of frames")
    assert "more frames than the limit of" in row.error and "raise max_frames" in row.error
    assert [ref.status for ref in _found(tmp_path, max_frames=COUNT)] == ["ok"] * COUNT
    (first,) = _found(tmp_path, max_frames=10, frames="first")
    assert (first.status, first.frame) == ("ok", 0)


@pytest.mark.parametrize("kind", ["gif", "apng", "webp", "tiff", "rle", "nifti.gz", "mgh", "nrrd", "npz"])
def test_a_small_file_of_too_many_pixels_over_all_frames_is_one_row_that_names_the_limit(
    tmp_path: Path, kind: str
) -> None:
    KINDS[kind](tmp_path, _flat(COUNT, 200))
    (row,) = _found(tmp_path, max_frames=COUNT, max_file_pixels=1_000_000)
    assert (row.status, row.left_out) == ("unreadable", "file over the limit of frames")
    assert "more pixels together than the limit of" in row.error and "raise max_file_pixels" in row.error
    assert len(_found(tmp_path, max_frames=COUNT)) == COUNT


def test_a_file_that_holds_its_frames_plainly_may_have_any_number(tmp_path: Path) -> None:
    np.save(tmp_path / "films.npy", np.random.default_rng(0).integers(0, 255, (300, 16, 16), dtype=np.uint8))
    assert len(_found(tmp_path, max_frames=1, max_file_pixels=1)) == 300


def test_a_volume_of_many_frames_is_one_image(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 500), np.uint8), np.eye(4)), tmp_path / "head.nii.gz")
    (volume,) = _found(tmp_path, max_frames=1, max_file_pixels=1)
    assert (volume.status, volume.ndim) == ("ok", 3)


def test_a_series_that_is_unpacked_anew_for_each_frame_is_bounded_by_all_that_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.sources.formats.volumes.MOST_KEPT", 1000)
    _volumes("time.mgz")(tmp_path, _flat(COUNT, 8))
    (row,) = _found(tmp_path, max_frames=COUNT, max_file_pixels=8 * 8 * 2 * COUNT)
    assert "read as a whole for each of its 60 frames" in row.error
    assert len(_found(tmp_path, max_frames=COUNT)) == COUNT


def _noise(count: int) -> Frames:
    random = np.random.default_rng(3)
    frames = [random.integers(0, 255, (24, 20), dtype=np.uint8) for _ in range(count)]
    for frame in frames[1::2]:
        frame[:12] = frames[0][:12]  # so that animations keep parts of the frame before
    return frames


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rle"])
def test_frames_are_the_same_in_whatever_order_they_are_read(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path, _noise(7))
    _agree(tmp_path)


@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("blend", [0, 1])
def test_frames_of_an_animated_png_do_not_depend_on_which_were_read_before(
    tmp_path: Path, disposal: int, blend: int
) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (9, 8, 4), dtype=np.uint8) for _ in range(6)]
    _pillow("frames.png", disposal=disposal, blend=blend)(tmp_path, frames)
    _agree(tmp_path)


def _agree(folder: Path) -> None:
    options = DecodeOptions(arrays="pictures")
    refs = [ref for ref in _found(folder) if ref.status == "ok"]
    assert len(refs) > 5
    alone = [decode(ref, options).stored for ref in reversed(refs)][::-1]
    for order in (range(len(refs)), [3, 0, 5, 1, 2, 4]):
        for at in order:
            np.testing.assert_array_equal(decode(refs[at], options).stored, alone[at])


def test_a_file_that_changes_between_two_frames_is_read_anew(tmp_path: Path) -> None:
    _pillow("pages.tif")(tmp_path, _noise(4))
    refs = _found(tmp_path)
    decode(refs[0], DecodeOptions())
    others = [255 - frame for frame in _noise(4)]
    _pillow("pages.tif")(tmp_path, others)
    np.testing.assert_array_equal(decode(refs[1], DecodeOptions()).stored, others[1])


@pytest.mark.parametrize("kind", ["nifti.gz", "npz", "gif", "tiff", "mgh"])
def test_a_file_is_opened_once_for_frames_in_a_row(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what is compressed or chained would cost as much as the square of its frames."""
    KINDS[kind](tmp_path, _noise(12))
    refs = _found(tmp_path)
    decode(refs[0], DecodeOptions(arrays="pictures"))
    opened: list[str] = []

    def noted(place: Path) -> object:
        opened.append(str(place))
        return open_place(place)

    for module in ("nifti.header", "arrays", "raster", "volumes.on_disk"):
        monkeypatch.setattr(f"leakscan.sources.formats.{module}.open_place", noted)
    for ref in refs[1:]:
        decode(ref, DecodeOptions(arrays="pictures"))
    headers = len(refs) - 1 if kind in ("nifti.gz", "npz", "mgh") else 0
    assert len(opened) <= headers, "its header may be read for each, its frames are not sought anew"


def test_frames_behind_the_end_of_a_zipped_series_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "series.nii.gz"
    voxels = np.random.default_rng(0).integers(0, 1000, (20, 20, 20, 12), dtype=np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refs = [
        ImageRef(image_id=str(k), path=path.name, format="nifti", files=(str(path),), ndim=3, frame=k)
        for k in range(12)
    ]
    sought = 0
    seek = gzip.GzipFile.seek

    def counted(self: gzip.GzipFile, offset: int, whence: int = io.SEEK_SET) -> int:
        nonlocal sought
        sought += 1
        return seek(self, offset, whence)

    monkeypatch.setattr(gzip.GzipFile, "seek", counted)
    said: list[str] = []
    for ref in refs:
        try:
            decode(ref, DecodeOptions())
            said.append("")
        except ImageError as error:
            said.append(error.sentence)
    read = said.count("")
    assert 0 < read < 7
    assert said[:read] == [""] * read
    assert all(sentence.startswith("It is truncated") for sentence in said[read:])
    assert sought == read + 1  # the frames behind the first that is lost are not sought
