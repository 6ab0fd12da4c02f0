"""Stored numbers come out exactly, however a film is packed; lossy ones come out close."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom import assemble, decode, read_header
from leakscan.types import DecodedImage
from support.dicom_maker import (
    SECONDARY,
    by_gdcm,
    change,
    compressed,
    dataset,
    film,
    jpeg,
    scene,
    write,
)

OPTIONS = DecodeOptions()


def only(path: Path, frame: int = 0, options: DecodeOptions = OPTIONS) -> DecodedImage:
    return decode(assemble([read_header(path)], path.parent, options)[frame], options)


def twelve_bit(signed: bool = False) -> np.ndarray:
    return (scene().astype(np.int16) - 2048) if signed else scene()


def test_a_plain_film_comes_out_as_it_was_written(tmp_path: Path) -> None:
    image = only(film(tmp_path / "x", PixelSpacing=[0.2, 0.1]))
    np.testing.assert_array_equal(image.stored, scene())
    np.testing.assert_array_equal(image.values, scene().astype(np.float32))
    assert image.values.dtype == np.float32
    assert image.spacing_mm == (0.2, 0.1)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
    ],
)
def test_lossless_syntaxes_give_the_stored_numbers(tmp_path: Path, syntax: uid.UID, signed: bool) -> None:
    pixels = twelve_bit(signed)
    ds = dataset(pixels, BitsStored=12, HighBit=11)
    if syntax == uid.ExplicitVRBigEndian:
        ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    if syntax.is_compressed and not syntax.is_deflated:
        path = compressed(tmp_path / "x", ds, syntax)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
        path = write(tmp_path / "x", ds)
    image = only(path)
    np.testing.assert_array_equal(image.stored, pixels)
    assert image.stored.dtype.byteorder in "=|"


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1"])
def test_lossless_jpeg_gives_the_stored_numbers(tmp_path: Path, syntax: str) -> None:
    plain = film(tmp_path / "plain", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(only(by_gdcm(tmp_path / "x", plain, syntax)).stored, scene())


def test_12_bit_jpeg_comes_out_close_and_unclipped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain = film(tmp_path / "plain", BitsStored=12, HighBit=11)
    path = by_gdcm(tmp_path / "x", plain, "JPEGExtendedProcess2_4")
    capfd.readouterr()
    stored = only(path).stored.astype(int)
    assert np.abs(stored - scene()).max() <= 40
    assert stored.max() > 4000
    assert capfd.readouterr() == ("", "")


def test_baseline_jpeg_in_grey_and_colour_comes_out_close(tmp_path: Path) -> None:
    grey = (scene(32, 40) // 16).astype(np.uint8)
    assert np.abs(only(jpeg(tmp_path / "g", grey)).stored.astype(int) - grey).max() <= 12
    colour = np.stack([grey, grey[::-1], 255 - grey], axis=-1)
    found = only(jpeg(tmp_path / "c", colour)).stored.astype(int)
    assert np.abs(found - colour).mean() < 12  # chroma is subsampled


def test_lossy_jpeg_2000_comes_out_close(tmp_path: Path) -> None:
    path = compressed(
        tmp_path / "x", dataset(scene(), BitsStored=12, HighBit=11), uid.JPEG2000, j2k_psnr=[60]
    )
    assert np.abs(only(path).stored.astype(int) - scene()).max() < 60


@pytest.mark.parametrize("declared", [uid.JPEG2000Lossless, uid.ExplicitVRLittleEndian, uid.UID("1.2.3.4")])
def test_a_stream_is_decoded_by_what_it_is_not_by_what_is_declared(tmp_path: Path, declared: uid.UID) -> None:
    ds = dataset(scene())
    ds.compress(uid.JPEGLSLossless, generate_instance_uid=False)
    path = write(tmp_path / "x", ds)
    content = path.read_bytes()
    assert content.count(uid.JPEGLSLossless.encode()) == 1
    path.write_bytes(content.replace(uid.JPEGLSLossless.encode(), declared.encode().ljust(22, b"\0")))
    np.testing.assert_array_equal(only(path).stored, scene())


def test_a_missing_transfer_syntax_is_found_out(tmp_path: Path) -> None:
    ds = dataset(scene())
    del ds.file_meta
    ds.save_as(tmp_path / "x", implicit_vr=False, little_endian=True)
    np.testing.assert_array_equal(only(tmp_path / "x").stored, scene())


def test_monochrome1_is_flipped_within_its_bits(tmp_path: Path) -> None:
    image = only(film(tmp_path / "x", PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.stored, 4095 - scene())
    np.testing.assert_array_equal(image.values, 4095 - scene().astype(np.float32))


def test_signed_monochrome1_is_flipped_round_minus_a_half(tmp_path: Path) -> None:
    pixels = twelve_bit(signed=True)
    image = only(
        film(tmp_path / "x", pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    )
    np.testing.assert_array_equal(image.stored, -1 - pixels)


def test_junk_in_unused_high_bits_is_dropped(tmp_path: Path) -> None:
    pixels = scene() | np.uint16(0xA000)
    np.testing.assert_array_equal(
        only(film(tmp_path / "x", pixels, BitsStored=12, HighBit=11)).stored, scene()
    )


def test_signed_numbers_without_sign_extension_are_extended(tmp_path: Path) -> None:
    pixels = twelve_bit(signed=True)
    packed = (pixels & 0x0FFF).astype(np.int16)
    np.testing.assert_array_equal(
        only(film(tmp_path / "x", packed, BitsStored=12, HighBit=11)).stored, pixels
    )


def test_bits_that_do_not_start_at_zero_are_shifted_down(tmp_path: Path) -> None:
    path = film(tmp_path / "x", scene() << 4, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(only(path).stored, scene())


def test_equal_colour_channels_are_one(tmp_path: Path) -> None:
    grey = (scene() // 16).astype(np.uint8)
    image = only(film(tmp_path / "x", np.stack([grey] * 3, axis=-1)))
    np.testing.assert_array_equal(image.stored, grey)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_is_rgb_with_its_luminance_as_values(tmp_path: Path, planar: int) -> None:
    grey = (scene() // 16).astype(np.uint8)
    colour = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    ds = dataset(colour, SECONDARY, "OT")
    if planar:
        change(ds, PlanarConfiguration=1, PixelData=colour.transpose(2, 0, 1).tobytes())
    image = only(write(tmp_path / "x", ds))
    np.testing.assert_array_equal(image.stored, colour)
    np.testing.assert_allclose(image.values, colour @ [0.299, 0.587, 0.114], atol=0.01)


def test_a_palette_is_applied(tmp_path: Path) -> None:
    index = (scene() // 16).astype(np.uint8)
    ds = dataset(index, SECONDARY, "OT", PhotometricInterpretation="PALETTE COLOR")
    ramp = np.arange(256, dtype=np.uint16) << 8
    for colour, table in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", ramp)):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", table.tobytes())
    image = only(write(tmp_path / "x", ds))
    np.testing.assert_array_equal(image.stored[..., 0], ramp[index])
    np.testing.assert_array_equal(image.stored[..., 1], ramp[255 - index])


def test_each_frame_of_a_cine_is_decoded_alone(tmp_path: Path) -> None:
    frames = np.stack([scene(phase=k) for k in range(3)])
    for k in range(3):
        np.testing.assert_array_equal(only(film(tmp_path / "n", frames), k).stored, frames[k])
    path = compressed(tmp_path / "c", dataset(frames), uid.RLELossless)
    np.testing.assert_array_equal(only(path, 2).stored, frames[2])


def test_missing_elements_are_replaced_by_the_usual(tmp_path: Path) -> None:
    path = film(
        tmp_path / "x",
        PhotometricInterpretation=None,
        SamplesPerPixel=None,
        BitsStored=None,
        HighBit=None,
        PixelRepresentation=None,
    )
    np.testing.assert_array_equal(only(path).stored, scene())


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("syntax", [None, uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_pixels_cut_short_are_unreadable(tmp_path: Path, syntax: uid.UID | None, kept: float) -> None:
    ds = dataset(scene())
    path = compressed(tmp_path / "x", ds, syntax) if syntax else write(tmp_path / "x", ds)
    size = len(ds.PixelData)
    path.write_bytes(path.read_bytes()[: -size + int(kept * size)])
    with pytest.raises(ImageError) as caught:
        only(path)
    assert caught.value.status == "unreadable"


def test_a_cut_jpeg_is_unreadable_even_where_decoders_fill_in(tmp_path: Path) -> None:
    plain = film(tmp_path / "plain", BitsStored=12, HighBit=11)
    path = by_gdcm(tmp_path / "x", plain, "JPEGLosslessProcess14_1")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ImageError, match=r"cut short|damaged"):
        only(path)


def test_a_syntax_without_decoder_is_named(tmp_path: Path) -> None:
    ds = dataset(scene())
    ds.PixelData = encapsulate([b"no known stream" * 10])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.94"
    with pytest.raises(ImageError, match="transfer syntax JPIP Referenced needs") as caught:
        only(write(tmp_path / "x", ds))
    assert caught.value.status == "unsupported"


def test_the_pixel_limit_holds_before_any_pixel_is_read(tmp_path: Path) -> None:
    path = film(tmp_path / "x", Rows=60000, Columns=60000)
    with pytest.raises(ImageError, match="3,600,000,000 pixels, more than the limit"):
        only(path)
    assert only(film(tmp_path / "y"), options=DecodeOptions(max_pixels=1440)).stored.size == 1440
    with pytest.raises(ImageError, match="limit"):
        only(tmp_path / "y", options=DecodeOptions(max_pixels=1439))


@pytest.mark.parametrize("stored", [12, 10])
def test_an_overlay_above_the_stored_bits_is_no_part_of_the_picture(tmp_path: Path, stored: int) -> None:
    """Compressed as 16 bits, the overlay of old files comes along with the pixels."""
    picture = scene(top=2**stored - 1)
    drawn = picture | (np.indices(picture.shape).sum(0) % 11 < 4).astype(np.uint16) << stored
    ds = dataset(drawn, BitsStored=16, HighBit=15)
    ds.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    change(ds, BitsStored=stored, HighBit=stored - 1)
    np.testing.assert_array_equal(only(write(tmp_path / "x", ds)).stored, picture)


def test_a_header_that_states_too_few_bits_loses_none(tmp_path: Path) -> None:
    picture = scene(top=60_000)
    ds = dataset(picture)
    ds.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    change(ds, BitsStored=14, HighBit=13)
    np.testing.assert_array_equal(only(write(tmp_path / "x", ds)).stored, picture)
