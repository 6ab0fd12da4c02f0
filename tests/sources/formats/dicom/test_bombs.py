"""DICOM files that claim, or unpack to, far more than they hold on disk."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom import assemble, decode, read_header
from support.dicom_maker import dataset, film, scene, write

MEGABYTE = 1 << 20
OPTIONS = DecodeOptions()


def deflated(path: Path, megabytes: int) -> Path:
    """A deflated film whose pixel data says that it is followed by many zeros, which there are."""
    ds = dataset(scene())
    ds.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    small = write(path, ds).read_bytes()
    begins = 144 + int.from_bytes(small[140:144], "little")
    plain = zlib.decompress(small[begins:], -15)
    pixels = plain.rindex(b"\xe0\x7f\x10\x00OW")
    claimed = struct.pack("<I", megabytes * MEGABYTE)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(plain[: pixels + 8] + claimed + plain[pixels + 12 :])
    first += packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(small[:begins] + first + zeros * megabytes + packer.flush())
    return path


def before_pixels(path: Path, element: bytes) -> Path:
    """A film with an element before all others, and half a gigabyte of zeros behind it that take no disk."""
    whole = film(path).read_bytes()
    begins = 144 + int.from_bytes(whole[140:144], "little")
    with path.open("wb") as file:
        file.write(whole[:begins] + element)
        file.truncate(512 * MEGABYTE)
    return path


def test_a_scan_inflates_no_more_of_a_deflated_film_than_its_header(tmp_path: Path) -> None:
    path = deflated(tmp_path / "a", 300)
    tracemalloc.start()
    try:
        header = read_header(path)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (header.subject, header.rows, header.columns) == ("P1", 36, 40)
    assert most < 16 * MEGABYTE


def test_a_deflated_film_that_swells_is_refused(tmp_path: Path) -> None:
    path = deflated(tmp_path / "a", 300)
    (ref,) = assemble([read_header(path)], tmp_path, OPTIONS)
    with pytest.raises(ImageError, match="far more than images do, as a zip bomb would"):
        decode(ref, OPTIONS)


def test_a_large_deflated_film_is_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (900, 800), dtype=np.uint16)
    ds = dataset(pixels, BitsStored=12, HighBit=11)
    ds.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    (ref,) = assemble([read_header(write(tmp_path / "a", ds))], tmp_path, OPTIONS)
    np.testing.assert_array_equal(decode(ref, OPTIONS).stored, pixels)


def test_a_deflated_film_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    path = deflated(tmp_path / "a", 1)
    path.write_bytes(path.read_bytes()[:-200])
    (ref,) = assemble([read_header(path)], tmp_path, OPTIONS)
    with pytest.raises(ImageError, match="damaged"):
        decode(ref, OPTIONS)


@pytest.mark.parametrize(
    "element",
    [
        b"\x08\x00\x05\x00UT\0\0" + struct.pack("<I", 400 * MEGABYTE),  # a scan wants this one
        b"\x09\x00\x10\x10OB\0\0\xff\xff\xff\xff",  # one that never ends
    ],
)
def test_what_stands_before_the_pixels_is_bounded(tmp_path: Path, element: bytes) -> None:
    path = before_pixels(tmp_path / "a", element)
    with pytest.raises(ImageError, match="before its pixels is longer than the limit of 256 MB"):
        read_header(path)


def test_a_long_file_that_lost_its_preamble_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    whole = film(path).read_bytes()
    with path.open("wb") as file:
        file.write(whole[128:])
        file.truncate(512 * MEGABYTE)
    tracemalloc.start()
    try:
        assert read_header(path).subject == "P1"
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 16 * MEGABYTE
    (ref,) = assemble([read_header(path)], tmp_path, OPTIONS)
    np.testing.assert_array_equal(decode(ref, OPTIONS).stored, scene())
