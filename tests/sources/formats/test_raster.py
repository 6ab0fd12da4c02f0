"""Raster files keep every stored bit, look as a viewer shows them, and fail with a sentence."""

from __future__ import annotations

import struct
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode, inspect, recognise
from leakscan.types import DecodedImage, ImageRef

RNG = np.random.default_rng(7)
DEEP = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
GREY = (DEEP >> 8).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def read(path: Path, frame: int = 0, options: DecodeOptions | None = None) -> DecodedImage:
    ref = ImageRef(image_id="id", path=path.name, format=recognise(path), files=(str(path),), frame=frame)
    return decode(ref, options or DecodeOptions())


def refusal(path: Path, options: DecodeOptions | None = None) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read(path, options=options)
    assert caught.value.message.endswith(".")
    return caught.value


def write_tiff(path: Path, pages: list[tuple[bytes, dict[int, int]]]) -> None:
    """A little-endian TIFF by hand, for the sample types that Pillow does not write."""
    out = b"II*\0" + struct.pack("<I", 8)
    for n, (data, extra) in enumerate(pages):
        tags = {259: 1, 277: 1, 262: 1, 278: extra[257], 279: len(data), **extra}
        start = len(out) + 2 + 12 * (len(tags) + 1) + 4
        tags[273] = start
        out += struct.pack("<H", len(tags))
        for tag, value in sorted(tags.items()):
            out += struct.pack("<HHI", tag, 4, 1) + struct.pack("<I", value)
        following = start + len(data) if n + 1 < len(pages) else 0
        out += struct.pack("<I", following) + data
    path.write_bytes(out)


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "tiff", "bmp", "webp"])
def test_lossless_grey_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(GREY).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert recognise(path) == suffix
    image = read(path)
    np.testing.assert_array_equal(image.stored, GREY)
    assert image.values.dtype == np.float32
    np.testing.assert_array_equal(image.values, GREY.astype(np.float32))


def test_a_jpeg_under_a_wrong_name_is_still_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    Image.fromarray(smooth).save(path, format="JPEG", quality=95)
    assert recognise(path) == "jpeg"
    assert np.abs(read(path).values - smooth).max() < 6


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_neither_clipped_nor_reduced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), DEEP)
    image = read(path)
    assert image.stored.dtype == np.uint16
    np.testing.assert_array_equal(image.stored, DEEP)
    assert image.values.max() == DEEP.max()


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_colour_keeps_its_depth_and_channel_order(tmp_path: Path, suffix: str) -> None:
    rgb = RNG.integers(0, 65536, (20, 30, 3)).astype(np.uint16)
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), rgb[..., ::-1])
    np.testing.assert_array_equal(read(path).stored, rgb)


def test_sixteen_bit_grey_stored_as_colour_becomes_one_channel(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.dstack([DEEP] * 3))
    np.testing.assert_array_equal(read(path).stored, DEEP)


def test_twelve_bit_tiff_keeps_its_integers(tmp_path: Path) -> None:
    twelve = (DEEP >> 4).ravel().astype(np.uint32)
    a, b = twelve[0::2], twelve[1::2]
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=1).astype(np.uint8).tobytes()
    path = tmp_path / "twelve.tif"
    write_tiff(path, [(packed, {256: 30, 257: 20, 258: 12})])
    np.testing.assert_array_equal(read(path).stored, DEEP >> 4)


@pytest.mark.parametrize(
    ("dtype", "bits", "sample_format"),
    [("<u4", 32, 1), ("<i4", 32, 2), ("<i2", 16, 2), ("<f4", 32, 3), ("<f8", 64, 3), ("<i1", 8, 2)],
)
def test_tiff_sample_types_keep_sign_and_range(
    tmp_path: Path, dtype: str, bits: int, sample_format: int
) -> None:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        pixels = RNG.normal(0, 1000, (20, 30)).astype(kind)
    else:
        pixels = RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, (20, 30)).astype(kind)
    path = tmp_path / "typed.tif"
    write_tiff(path, [(pixels.tobytes(), {256: 30, 257: 20, 258: bits, 339: sample_format})])
    np.testing.assert_array_equal(read(path).stored, pixels)


def test_half_precision_tiff_is_read_or_says_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "half.tif"
    pixels = np.arange(600, dtype="<f2").reshape(20, 30)
    write_tiff(path, [(pixels.tobytes(), {256: 30, 257: 20, 258: 16, 339: 3})])
    np.testing.assert_array_equal(read(path).stored, pixels)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    error = refusal(path)
    assert error.status == "unsupported" and "leakscan[formats]" in error.message


def test_pixels_that_are_not_finite_count_as_zero_and_are_noted(tmp_path: Path) -> None:
    pixels = np.ones((4, 5), "<f4")
    pixels[0, 0], pixels[1, 1] = np.nan, np.inf
    path = tmp_path / "odd.tif"
    write_tiff(path, [(pixels.tobytes(), {256: 5, 257: 4, 258: 32, 339: 3})])
    image = read(path)
    assert image.values[0, 0] == image.values[1, 1] == 0
    assert image.notes == ("2 pixels were not finite and count as 0.",)


@pytest.mark.parametrize(("bits", "dtype"), [(8, "<u1"), (16, "<u2")])
def test_min_is_white_is_inverted_at_every_depth(tmp_path: Path, bits: int, dtype: str) -> None:
    pixels = DEEP.astype(dtype)
    path = tmp_path / "white.tif"
    write_tiff(path, [(pixels.tobytes(), {256: 30, 257: 20, 258: bits, 262: 0})])
    np.testing.assert_array_equal(read(path).stored, np.iinfo(dtype).max - pixels)


def test_every_page_of_a_tiff_is_an_image_unless_only_the_first_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    pages = [Image.fromarray(GREY + k) for k in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert [f.frame for f in inspect(path, "tiff", DecodeOptions())] == [0, 1, 2]
    np.testing.assert_array_equal(read(path, frame=2).stored, GREY + 2)
    (only,) = inspect(path, "tiff", DecodeOptions(frames="first"))
    assert "3 pages" in only.notes[0]


def test_pages_of_float_tiff_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    tags = {256: 30, 257: 20, 258: 64, 339: 3}
    write_tiff(path, [((GREY + 1.0 * k).astype("<f8").tobytes(), tags) for k in range(3)])
    np.testing.assert_array_equal(read(path, frame=1).stored, GREY + 1.0)


def test_the_thumbnail_page_of_a_tiff_is_no_second_image(tmp_path: Path) -> None:
    path = tmp_path / "thumbnail.tif"
    small = GREY[::2, ::2]
    write_tiff(
        path,
        [(GREY.tobytes(), {256: 30, 257: 20, 258: 8}), (small.tobytes(), {254: 1, 256: 15, 257: 10, 258: 8})],
    )
    (only,) = inspect(path, "tiff", DecodeOptions())
    assert only.frame == 0 and "1 reduced" in only.notes[0]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    picture = Image.fromarray(COLOUR).quantize(16)
    picture.save(path)
    np.testing.assert_array_equal(read(path).stored, np.asarray(picture.convert("RGB")))


def test_a_grey_palette_gives_one_channel(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    picture = Image.fromarray(GREY % 4, mode="P")
    picture.putpalette([9, 9, 9, 50, 50, 50, 99, 99, 99, 200, 200, 200])
    picture.save(path)
    np.testing.assert_array_equal(read(path).stored, np.array([9, 50, 99, 200])[GREY % 4])


def test_an_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "opaque.png"
    Image.fromarray(np.dstack([COLOUR, np.full((20, 30), 255, np.uint8)])).save(path)
    np.testing.assert_array_equal(read(path).stored, COLOUR)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_alpha_is_composited_on_black(tmp_path: Path, dtype: type, top: int) -> None:
    rgb = RNG.integers(0, top + 1, (8, 9, 3)).astype(dtype)
    alpha = RNG.integers(0, top + 1, (8, 9)).astype(dtype)
    path = tmp_path / "alpha.png"
    cv2.imwrite(str(path), np.dstack([rgb[..., ::-1], alpha]))
    expected = np.rint(rgb.astype(float) * alpha[..., None] / top)
    assert np.abs(read(path).stored - expected).max() <= 1


def test_grey_with_alpha_stays_grey(tmp_path: Path) -> None:
    path = tmp_path / "la.png"
    alpha = np.where(np.arange(30) < 15, 255, 0).astype(np.uint8) * np.ones((20, 1), np.uint8)
    Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]).save(path)
    np.testing.assert_array_equal(read(path).stored, np.where(alpha == 255, GREY, 0))


def test_the_clear_grey_level_of_a_deep_png_becomes_black(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.fromarray(DEEP).save(path, transparency=int(DEEP[3, 4]))
    assert Image.open(path).info["transparency"] == DEEP[3, 4]
    stored = read(path).stored
    assert stored[3, 4] == 0
    assert (stored != DEEP).sum() == (DEEP[3, 4] == DEEP).sum()


def test_cmyk_is_shown_as_colour(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.tif"
    Image.new("CMYK", (6, 5), (0, 255, 255, 0)).save(path)
    assert tuple(read(path).stored[0, 0]) == (255, 0, 0)


def test_one_bit_pictures_hold_zero_and_one(tmp_path: Path) -> None:
    path = tmp_path / "bits.png"
    Image.fromarray(GREY > 127).save(path)
    np.testing.assert_array_equal(read(path).stored, (GREY > 127).astype(np.uint8))


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    path = tmp_path / "colour.png"
    Image.fromarray(COLOUR).save(path)
    image = read(path)
    assert image.stored.shape == (20, 30, 3) and image.values.shape == (20, 30)
    expected = COLOUR @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(image.values, expected, atol=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    """Compared with Pillow's own transposition; a turned TIFF read from a path by Pillow is scrambled."""
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"turned.{suffix}"
    blocks = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((16, 16), np.uint8))
    picture = Image.fromarray(blocks)
    if suffix == "tif":
        write_tiff(path, [(blocks.tobytes(), {256: 48, 257: 32, 258: 8, 274: orientation})])
    else:
        picture.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    picture.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture)).astype(int)
    stored = read(path).stored.astype(int)
    assert stored.shape == expected.shape
    assert np.abs(stored - expected).max() <= 4


def test_every_frame_of_an_animation_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "moving.webp"
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    for frame, pixels in enumerate((COLOUR, 255 - COLOUR)):
        np.testing.assert_array_equal(read(path, frame).stored, pixels)
    assert [f.frame for f in inspect(path, "webp", DecodeOptions())] == [0, 1]
    (first,) = inspect(path, "webp", DecodeOptions(frames="first"))
    assert first.notes == ("It has 2 frames; only the first is read.",)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_a_truncated_picture_is_unreadable_even_when_pillow_was_told_to_be_lenient(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(COLOUR.repeat(8, 0).repeat(8, 1)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refusal(path).status == "unreadable"


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_truncated_deep_colour_is_unreadable_and_prints_nothing(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"cut.{suffix}"
    cv2.imwrite(str(path), RNG.integers(0, 65536, (50, 60, 3)).astype(np.uint16))
    path.write_bytes(path.read_bytes()[:9000])
    assert refusal(path).status == "unreadable"
    assert capfd.readouterr() == ("", "")


def test_a_bomb_is_refused_by_its_header_and_the_sentence_names_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60000, 60000))
    started = time.process_time()
    error = refusal(path)
    assert time.process_time() - started < 1
    assert error.status == "unreadable"
    assert error.message == (
        "It has 60000 x 60000 pixels, more than the limit of 512000000; raise max_pixels to read it."
    )


def test_a_bomb_in_a_tiff_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    write_tiff(path, [(b"", {256: 60000, 257: 60000, 258: 64, 339: 3})])
    assert "60000 x 60000" in refusal(path).message


def test_large_pictures_within_our_limit_are_read_although_pillow_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)
    path = tmp_path / "large.png"
    Image.fromarray(GREY).save(path)
    assert read(path).stored.shape == (20, 30)
    assert Image.MAX_IMAGE_PIXELS == 10, "Pillow's setting is left as it was"


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_raise_anything_but_an_image_error(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    suffix = ["png", "jpg", "tif", "bmp", "webp"][seed % 5]
    path = tmp_path / f"hurt.{suffix}"
    Image.fromarray(COLOUR).save(path)
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[rng.integers(12, len(data), 20)] = rng.integers(0, 256, 20)
    path.write_bytes(data.tobytes())
    format = recognise(path)
    if format:
        try:
            inspect(path, format, DecodeOptions())
            image = read(path, options=DecodeOptions(max_pixels=1_000_000))
            assert np.isfinite(image.values).all()
        except ImageError as error:
            assert error.message.endswith(".")


def test_a_file_that_vanished_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        decode(
            ImageRef(image_id="id", path="gone.png", format="png", files=(str(tmp_path / "gone.png"),)),
            DecodeOptions(),
        )


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, world", b"BM is not always a bitmap, this is text", b"path,subject_id\n", b"%PDF-1.4"],
)
def test_other_content_is_not_recognised(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)
    assert recognise(path) == ""


def test_a_tiff_in_webp_is_read_or_its_compression_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, photometric="rgb", compression="webp")
    grey = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY).astype(np.float32)
    assert np.corrcoef(read(tmp_path / "a.tif").values.ravel(), grey.ravel())[0, 1] > 0.99
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert "WebP" in refusal(tmp_path / "a.tif").message
