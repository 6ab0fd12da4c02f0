"""A series and its NIfTI copy are one volume, in RAS+ order, whatever way it was acquired."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom import assemble, decode, read_header
from leakscan.types import DecodedImage, ImageRef
from support.dicom_maker import AXIAL, CORONAL, SAGITTAL, by_gdcm, enhanced, scene, series

OPTIONS = DecodeOptions()
HEAD_FIRST_OBLIQUE = (0.96, 0.2, -0.1959592, -0.1469694, 0.9591837, 0.2408)


def only(root: Path) -> ImageRef:
    (ref,) = assemble([read_header(p) for p in root.rglob("*.dcm")], root, OPTIONS)
    return ref


def canonical_nifti(files: list[Path], path: Path) -> Any:
    """The volume as a converter writes it, in the opposite slice order, read as nibabel suggests."""
    slices = [pydicom.dcmread(f) for f in reversed(files)]
    row, column = (np.array(slices[0].ImageOrientationPatient[a : a + 3], float) for a in (0, 3))
    first, second = (np.array(s.ImagePositionPatient, float) for s in slices[:2])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * 0.6, column * 0.8
    affine[:3, 2], affine[:3, 3] = second - first, first
    voxels = np.stack([s.pixel_array.T for s in slices], axis=-1)
    nib.save(nib.Nifti1Image(voxels, np.diag([-1, -1, 1, 1]) @ affine), path)
    return nib.as_closest_canonical(nib.load(path))


def oblique() -> tuple[float, ...]:
    rows = np.array(HEAD_FIRST_OBLIQUE[:3])
    rows /= np.linalg.norm(rows)
    columns = np.array(HEAD_FIRST_OBLIQUE[3:])
    columns -= rows * (rows @ columns)
    columns /= np.linalg.norm(columns)
    return tuple(round(float(x), 7) for x in (*rows, *columns))


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, (-1, 0, 0, 0, -1, 0), oblique()])
def test_a_series_and_its_nifti_copy_have_the_same_voxels(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    files = series(tmp_path / "s", count=5, orientation=orientation)
    image = decode(only(tmp_path), OPTIONS)
    copy = canonical_nifti(files, tmp_path / "copy.nii")
    np.testing.assert_array_equal(image.stored, np.asarray(copy.dataobj))
    np.testing.assert_allclose(image.spacing_mm, copy.header.get_zooms(), rtol=1e-4)
    np.testing.assert_array_equal(image.values, image.stored.astype(np.float32) - 24)


def test_axes_run_right_anterior_superior(tmp_path: Path) -> None:
    files = series(tmp_path, count=4)
    stored = decode(only(tmp_path), OPTIONS).stored
    top = pydicom.dcmread(files[-1]).pixel_array  # the most superior slice; its first pixel is right, front
    np.testing.assert_array_equal(stored[:, :, -1], top.T[::-1, ::-1])


def test_spacing_comes_from_positions_not_from_the_slice_thickness(tmp_path: Path) -> None:
    series(tmp_path, count=4, step=3.25)
    assert decode(only(tmp_path), OPTIONS).spacing_mm == pytest.approx((0.6, 0.8, 3.25))


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    for k in range(3):
        series(tmp_path, count=1, start=k, RescaleSlope=str(k + 1), RescaleIntercept="0", Modality="PT")
    image = decode(only(tmp_path), OPTIONS)
    for k in range(3):
        np.testing.assert_allclose(image.values[..., k], image.stored[..., k].astype(float) * (k + 1))
    assert "different rescale slopes" in image.notes[0]


def test_padding_in_a_volume_is_as_dark_as_its_darkest_voxel(tmp_path: Path) -> None:
    files = series(tmp_path, count=3, PixelPaddingValue=-2000)
    ds = pydicom.dcmread(files[1])
    pixels = ds.pixel_array.copy()
    pixels[:4] = -2000
    ds.PixelData = pixels.tobytes()
    ds.save_as(files[1])
    image = decode(only(tmp_path), OPTIONS)
    assert image.stored.min() == -2000
    assert image.values.min() == -1024 - 24
    assert np.isfinite(image.values).all()


def test_compressed_and_plain_slices_mix_in_one_volume(tmp_path: Path) -> None:
    files = series(tmp_path / "a", count=3)
    plain = decode(only(tmp_path), OPTIONS)
    by_gdcm(tmp_path / "new", files[1], "JPEGLosslessProcess14_1")
    shutil.move(tmp_path / "new", files[1])
    np.testing.assert_array_equal(decode(only(tmp_path), OPTIONS).stored, plain.stored)


def test_an_enhanced_object_becomes_one_volume_with_its_own_rescale(tmp_path: Path) -> None:
    frames = np.stack([scene(phase=k) for k in range(4)])
    order = [2, 0, 3, 1]
    places = [[0.0, 0.0, 4.0 * order.index(k)] for k in range(4)]
    enhanced(tmp_path / "x.dcm", frames, places)
    image = decode(only(tmp_path), OPTIONS)
    expected = frames[order].transpose(2, 1, 0)[::-1, ::-1]
    np.testing.assert_array_equal(image.stored, expected)
    np.testing.assert_array_equal(image.values, expected * 2.0 + 5)
    assert image.spacing_mm == pytest.approx((0.6, 0.8, 4.0))


def test_the_contrasts_of_an_enhanced_object_are_decoded_apart(tmp_path: Path) -> None:
    frames = np.stack([scene(phase=k) for k in range(6)])
    path = enhanced(
        tmp_path / "x", frames, [[0.0, 0.0, 3.0 * (k // 2)] for k in range(6)], echo=[80.0, 10.0] * 3
    )
    first, second = (decode(ref, OPTIONS) for ref in assemble([read_header(path)], tmp_path, OPTIONS))
    np.testing.assert_array_equal(first.stored, frames[1::2].transpose(2, 1, 0)[::-1, ::-1])
    np.testing.assert_array_equal(second.stored, frames[0::2].transpose(2, 1, 0)[::-1, ::-1])


def test_a_broken_slice_is_named(tmp_path: Path) -> None:
    files = series(tmp_path, count=4)
    ref = only(tmp_path)
    files[2].write_bytes(files[2].read_bytes()[:-100])
    with pytest.raises(ImageError, match=f"Slice {files[2].name}: Its pixel data is cut short") as caught:
        decode(ref, OPTIONS)
    again = pickle.loads(pickle.dumps(caught.value))  # as it comes out of a worker
    assert again.message == caught.value.message
    assert (again.status, again.path) == ("unreadable", files[2].name)
    assert files[2].name not in again.sentence, "a name that must not be shown stays out of the words"


def test_the_pixel_limit_counts_all_voxels(tmp_path: Path) -> None:
    series(tmp_path, count=4)
    ref = only(tmp_path)
    decoded: DecodedImage = decode(ref, DecodeOptions(max_pixels=36 * 40 * 4))
    assert decoded.stored.shape == (40, 36, 4)
    with pytest.raises(ImageError, match="limit"):
        decode(ref, DecodeOptions(max_pixels=36 * 40 * 4 - 1))
