"""What a viewer would show: rescale, window, lookup tables, padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom import assemble, decode, read_header
from leakscan.types import DecodedImage
from support.dicom_maker import film, scene, series

X = scene().astype(np.float64)


def shown(tmp_path: Path, pixels: np.ndarray | None = None, **elements: Any) -> DecodedImage:
    path = film(tmp_path / "x", pixels, **elements)
    return decode(assemble([read_header(path)], tmp_path, DecodeOptions())[0], DecodeOptions())


def lut(first: int, data: np.ndarray) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(data), first, 16]
    item.LUTData = data.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return Sequence([item])


def test_slope_and_intercept_are_applied_even_when_negative(tmp_path: Path) -> None:
    image = shown(tmp_path, RescaleSlope="-0.5", RescaleIntercept="100")
    np.testing.assert_allclose(image.values, 100 - 0.5 * X, atol=1e-3)
    np.testing.assert_array_equal(image.stored, scene())


@pytest.mark.parametrize("slope", ["", "0", "abc", "1e400"])
def test_a_senseless_slope_counts_as_one(tmp_path: Path, slope: str) -> None:
    np.testing.assert_array_equal(shown(tmp_path, RescaleSlope=slope).values, X)


def test_a_linear_window_follows_the_standard(tmp_path: Path) -> None:
    image = shown(tmp_path, WindowCenter="2000", WindowWidth="1000")
    expected = np.clip((X - 1999.5) / 999 + 0.5, 0, 1)
    np.testing.assert_allclose(image.values, expected, atol=1e-5)
    assert image.values.min() == 0
    assert image.values.max() == 1


def test_linear_exact_and_sigmoid_windows_follow_the_standard(tmp_path: Path) -> None:
    window = {"WindowCenter": "2000", "WindowWidth": "1000"}
    exact = shown(tmp_path, VOILUTFunction="LINEAR_EXACT", **window)
    np.testing.assert_allclose(exact.values, np.clip((X - 2000) / 1000 + 0.5, 0, 1), atol=1e-5)
    sigmoid = shown(tmp_path, VOILUTFunction="SIGMOID", **window)
    np.testing.assert_allclose(sigmoid.values, 1 / (1 + np.exp(-4 * (X - 2000) / 1000)), atol=1e-5)


def test_of_several_windows_the_first_is_taken(tmp_path: Path) -> None:
    several = shown(tmp_path, WindowCenter=["2000", "50"], WindowWidth=["1000", "10"])
    single = shown(tmp_path, WindowCenter="2000", WindowWidth="1000")
    np.testing.assert_array_equal(several.values, single.values)


@pytest.mark.parametrize("window", [("9000", "10"), ("2000", "0"), ("2000", "1"), ("-900", "20")])
def test_a_window_that_leaves_nothing_to_see_is_ignored_with_a_note(
    tmp_path: Path, window: tuple[str, str]
) -> None:
    image = shown(tmp_path, WindowCenter=window[0], WindowWidth=window[1])
    np.testing.assert_array_equal(image.values, X)
    assert "not applied" in image.notes[0]


def test_half_a_window_is_no_window(tmp_path: Path) -> None:
    image = shown(tmp_path, WindowCenter="2000", WindowWidth="")
    np.testing.assert_array_equal(image.values, X)
    assert image.notes == ()


def test_the_window_works_on_rescaled_values_and_monochrome1_is_turned_after_it(tmp_path: Path) -> None:
    image = shown(
        tmp_path,
        WindowCenter="1000",
        WindowWidth="1000",
        RescaleSlope="0.5",
        PhotometricInterpretation="MONOCHROME1",
    )
    np.testing.assert_allclose(image.values, 1 - np.clip((X / 2 - 999.5) / 999 + 0.5, 0, 1), atol=1e-5)


def test_a_voi_lut_wins_over_a_window(tmp_path: Path) -> None:
    table = np.sqrt(np.arange(4000)) * 100
    image = shown(tmp_path, VOILUTSequence=lut(50, table), WindowCenter="2000", WindowWidth="9")
    np.testing.assert_array_equal(
        image.values, table.astype(np.uint16)[np.clip(scene().astype(int) - 50, 0, 3999)]
    )


def test_a_modality_lut_stands_in_for_slope_and_intercept(tmp_path: Path) -> None:
    table = np.arange(4096) ** 2 // 300
    image = shown(tmp_path, ModalityLUTSequence=lut(0, table), RescaleSlope="3")
    np.testing.assert_array_equal(image.values, table[scene()])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_as_dark_as_the_darkest_pixel_of_the_picture(tmp_path: Path, photometric: str) -> None:
    for padding in (0, 4095):
        pixels = (scene() // 2 + 500).astype(np.uint16)
        pixels[:5] = padding
        image = shown(tmp_path, pixels, PixelPaddingValue=padding, PhotometricInterpretation=photometric)
        assert np.unique(image.values[:5]).tolist() == [image.values[5:].min()]
        assert np.ptp(image.values[5:]) == np.ptp(pixels[5:])


def test_a_range_of_padding_is_padding(tmp_path: Path) -> None:
    pixels = scene() + np.uint16(100)
    pixels[0, :10] = np.arange(10, 20)
    image = shown(tmp_path, pixels, PixelPaddingValue=10, PixelPaddingRangeLimit=19)
    assert np.unique(image.values[0, :10]).tolist() == [100.0]


def test_signed_padding_written_as_unsigned_is_understood(tmp_path: Path) -> None:
    pixels = scene().astype(np.int16)
    pixels[3] = -2000
    image = shown(tmp_path, pixels, PixelPaddingValue=65536 - 2000)
    assert image.values.min() == 0


def test_slices_keep_their_full_range_whatever_window_they_carry(tmp_path: Path) -> None:
    (path,) = series(tmp_path, count=1, WindowCenter="40", WindowWidth="80")
    image = decode(assemble([read_header(path)], tmp_path, DecodeOptions())[0], DecodeOptions())
    np.testing.assert_array_equal(image.values, image.stored.astype(np.float32) - 24)


def test_the_detector_spacing_stands_in_for_the_pixel_spacing(tmp_path: Path) -> None:
    assert shown(tmp_path, ImagerPixelSpacing=[0.15, 0.14]).spacing_mm == (0.15, 0.14)
    assert shown(tmp_path, PixelSpacing=["", ""]).spacing_mm == ()
