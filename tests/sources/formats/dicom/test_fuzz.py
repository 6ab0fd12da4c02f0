"""Whatever is done to a file's bytes, it is an image or an ImageError, and nothing is printed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom import assemble, decode, read_header
from support.dicom_maker import by_gdcm, compressed, dataset, enhanced, film, jpeg, scene

OPTIONS = DecodeOptions(max_pixels=1_000_000)


@cache
def good_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = scene(33, 35)
        plain = film(folder / "plain", pixels, BitsStored=12, HighBit=11, PixelPaddingValue=0)
        windowed = film(folder / "w", pixels, WindowCenter="2000", WindowWidth="900", RescaleSlope="2")
        frames = np.stack([pixels, pixels + np.uint16(1), pixels + np.uint16(2)])
        files = {
            "plain": plain,
            "windowed": windowed,
            "jpeg": jpeg(folder / "j", (pixels // 16).astype(np.uint8)),
            "enhanced": enhanced(folder / "e", frames, [[0.0, 0.0, float(k)] for k in range(3)]),
            "lossless": by_gdcm(folder / "l", plain, "JPEGLosslessProcess14_1"),
            "extended": by_gdcm(folder / "x", plain, "JPEGExtendedProcess2_4"),
        }
        for key, syntax in (
            ("rle", uid.RLELossless),
            ("jls", uid.JPEGLSLossless),
            ("j2k", uid.JPEG2000Lossless),
            ("deflated", uid.DeflatedExplicitVRLittleEndian),
        ):
            ds = dataset(pixels)
            if key == "deflated":
                ds.file_meta.TransferSyntaxUID = syntax
                ds.save_as(folder / key, enforce_file_format=True)
                files[key] = folder / key
            else:
                files[key] = compressed(folder / key, ds, syntax)
        return {key: path.read_bytes() for key, path in files.items()}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def survives(path: Path) -> None:
    try:
        refs = assemble([read_header(path)], path.parent, OPTIONS)
    except ImageError as error:
        assert error.message.endswith(".")
        return
    for ref in refs[:3]:
        try:
            image = decode(ref, OPTIONS)
        except ImageError as error:
            assert error.message.endswith(".")
            continue
        assert np.isfinite(image.values).all()
        assert image.values.dtype == np.float32
        assert image.values.ndim == ref.ndim


@pytest.mark.parametrize(
    "kind",
    ["plain", "windowed", "jpeg", "enhanced", "lossless", "extended", "rle", "jls", "j2k", "deflated"],
)
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_bytes_give_an_image_or_an_image_error(folder: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(good_files()[kind])
    for _ in range(data.draw(st.integers(0, 6), label="flips")):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans(), label="truncate"):
        del content[data.draw(st.integers(0, len(content))) :]
    path = folder / kind
    path.write_bytes(content)
    survives(path)


@settings(max_examples=100)
@given(content=st.binary(max_size=400), head=st.booleans())
def test_arbitrary_bytes_give_an_image_error(folder: Path, content: bytes, head: bool) -> None:
    path = folder / "any"
    path.write_bytes(bytes(128) + b"DICM" + content if head else content)
    survives(path)


def test_damaged_files_print_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    random = np.random.default_rng(0)
    for kind, good in good_files().items():
        capfd.readouterr()
        for _ in range(25):
            content = bytearray(good)
            for at in random.integers(132, len(content), 3):
                content[at] = random.integers(256)
            path = folder / "quiet"
            path.write_bytes(content)
            survives(path)
        assert capfd.readouterr() == ("", ""), kind
    assert not recwarn.list


def test_a_stream_that_kills_the_decoder_is_one_unreadable_image_and_the_next_is_read(folder: Path) -> None:
    """GDCM aborts its process when a Huffman table is missing."""
    good = good_files()["lossless"]
    at = good.index(b"\xff\xc4\x00", good.index(b"\xff\xd8\xff\xc3"))
    path = folder / "killer"
    path.write_bytes(good[:at] + b"\x87" + good[at + 1 :])
    (ref,) = assemble([read_header(path)], folder, OPTIONS)
    with pytest.raises(ImageError, match="damaged"):
        decode(ref, OPTIONS)
    path.write_bytes(good)
    np.testing.assert_array_equal(decode(ref, OPTIONS).stored, scene(33, 35))


def test_a_stream_that_claims_another_size_is_refused_before_it_is_decoded(folder: Path) -> None:
    good = good_files()["j2k"]
    at = good.index(b"\xff\x4f\xff\x51") + 8
    path = folder / "claims"
    path.write_bytes(good[:at] + b"\x70" + good[at + 1 :])
    with pytest.raises(ImageError, match="shape"):
        decode(assemble([read_header(path)], folder, OPTIONS)[0], OPTIONS)


@pytest.mark.parametrize("value_representation", [b"U\x00", b"U\xf1", b"FD"])
def test_a_damaged_pixel_representation_does_not_hide_where_frames_lie(
    folder: Path, value_representation: bytes
) -> None:
    """The scan does not load it and found a volume where decoding, which does, found single frames."""
    good = good_files()["enhanced"]
    at = good.index(b"\x28\x00\x03\x01US") + 4
    path = folder / "representation"
    path.write_bytes(good)
    (whole,) = assemble([read_header(path)], folder, OPTIONS)
    expected = decode(whole, OPTIONS)
    path.write_bytes(good[:at] + value_representation + good[at + 2 :])
    (ref,) = assemble([read_header(path)], folder, OPTIONS)
    image = decode(ref, OPTIONS)
    assert (ref.ndim, image.spacing_mm) == (3, expected.spacing_mm)
    np.testing.assert_array_equal(image.values, expected.values)
