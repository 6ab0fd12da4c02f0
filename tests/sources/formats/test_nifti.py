"""NIfTI files come out in RAS+ with their stored numbers, frame by frame; label maps are told apart."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import inv_ornt_aff, ornt_transform

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode, inspect, pair_header, recognise
from leakscan.types import DecodedImage, ImageRef
from support.makers import DATA

RNG = np.random.default_rng(3)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
VOLUME = RNG.integers(0, 3000, (8, 9, 10)).astype(np.int16)


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, kind: type = nib.Nifti1Image) -> Path:
    nib.save(kind(array, affine), path)
    return path


def read(path: Path, frame: int = 0, options: DecodeOptions | None = None) -> DecodedImage:
    return decode(
        ImageRef(image_id="id", path=path.name, format=recognise(path), files=(str(path),), frame=frame),
        options or DecodeOptions(),
    )


def refusal(path: Path, options: DecodeOptions | None = None) -> ImageError:
    with pytest.raises(ImageError) as caught:
        inspect(path, "nifti", options or DecodeOptions())
        read(path, options=options)
    assert caught.value.message.endswith(".")
    return caught.value


def smooth_head(levels: int, side: int = 40) -> np.ndarray:
    """A blurred ball with texture, quantised: what an MR image with few grey levels is like."""
    from scipy.ndimage import gaussian_filter

    axes = np.indices((side, side, side)) - side / 2
    ball = (np.sqrt((axes**2).sum(0)) < side * 0.4) * 1.0
    texture = gaussian_filter(np.random.default_rng(0).normal(size=ball.shape), 1.5)
    head = gaussian_filter(ball, 1.0) * (1 + 2.0 * texture)
    return np.clip(head / head.max() * levels, 0, levels - 1).astype(np.uint8)


def parcels(side: int = 40) -> np.ndarray:
    """Blocks of unrelated numbers inside a ball."""
    axes = np.indices((side, side, side)) - side / 2
    ball = np.sqrt((axes**2).sum(0)) < side * 0.4
    names = np.random.default_rng(1).permutation(np.arange(1, 126))
    blocks = (np.indices((side, side, side)) // 8 * np.array([1, 5, 25])[:, None, None, None]).sum(0)
    return np.where(ball, names[blocks], 0).astype(np.uint8)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_volume_is_read_exactly(tmp_path: Path, name: str, kind: type) -> None:
    path = save(tmp_path / name, VOLUME, kind=kind)
    assert recognise(path) == "nifti"
    (info,) = inspect(path, "nifti", DecodeOptions())
    assert (info.frame, info.ndim) == (0, 3)
    image = read(path)
    assert image.stored.dtype == np.int16
    np.testing.assert_array_equal(image.stored, VOLUME)
    np.testing.assert_array_equal(image.values, VOLUME.astype(np.float32))
    assert image.spacing_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair, nib.Spm99AnalyzeImage])
def test_header_and_voxels_in_two_files_are_one_image(tmp_path: Path, kind: type) -> None:
    nib.save(kind(VOLUME, AFFINE), tmp_path / "v.hdr")
    (tmp_path / "v.mat").unlink(missing_ok=True)  # SPM's own side file, which is not read
    header, voxels = tmp_path / "v.hdr", tmp_path / "v.img"
    assert recognise(header) == "nifti"
    assert pair_header(voxels) == header
    stored = read(header).stored
    expected = nib.as_closest_canonical(nib.load(header)).dataobj
    np.testing.assert_array_equal(stored, np.asarray(expected))


def test_a_header_without_its_voxels_names_what_is_missing(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(VOLUME, AFFINE), tmp_path / "v.hdr")
    (tmp_path / "v.img").unlink()
    assert "no .img file of the same name" in refusal(tmp_path / "v.hdr").message


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    save(tmp_path / "v.nii.gz", VOLUME)
    (tmp_path / "v.nii.gz").rename(tmp_path / "brain.data")
    assert recognise(tmp_path / "brain.data") == "nifti"
    np.testing.assert_array_equal(read(tmp_path / "brain.data").stored, VOLUME)


@settings(max_examples=40)
@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_any_orientation_becomes_the_same_ras_volume(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], flips: tuple[int, int, int]
) -> None:
    target = np.array(list(zip(order, flips, strict=True)), float)
    turn = ornt_transform(nib.io_orientation(AFFINE), target)
    turned = nib.apply_orientation(VOLUME, turn)
    affine = AFFINE @ inv_ornt_aff(turn, VOLUME.shape)
    path = save(tmp_path_factory.mktemp("turned") / "v.nii", turned, affine)
    image = read(path)
    np.testing.assert_array_equal(image.stored, VOLUME)
    np.testing.assert_array_equal(image.values, VOLUME.astype(np.float32))
    np.testing.assert_allclose(image.spacing_mm, (1, 2, 3))


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.save(nib.Nifti1Image(VOLUME, AFFINE, header), tmp_path / "v.nii")
    assert (tmp_path / "v.nii").read_bytes()[:4] == (348).to_bytes(4, "big")
    stored = read(tmp_path / "v.nii").stored
    assert stored.dtype.isnative
    np.testing.assert_array_equal(stored, VOLUME)


def test_scaling_changes_values_and_leaves_the_stored_numbers(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME, AFFINE)
    image.header.set_slope_inter(0.5, -100)
    path = tmp_path / "v.nii"
    image.to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.5, -100], "<f4").tobytes()
    raw[352:] = VOLUME.tobytes(order="F")
    path.write_bytes(raw)
    found = read(path)
    np.testing.assert_array_equal(found.stored, VOLUME)
    np.testing.assert_allclose(found.values, VOLUME * 0.5 - 100)


def test_spacing_is_in_millimetres_whatever_the_unit(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME, np.diag([500.0, 500, 800, 1]))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "v.nii")
    np.testing.assert_allclose(read(tmp_path / "v.nii").spacing_mm, (0.5, 0.5, 0.8))


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_every_time_point_is_an_image(tmp_path: Path, name: str) -> None:
    series = RNG.integers(0, 3000, (4, 5, 6, 7)).astype(np.int16)
    path = save(tmp_path / name, series)
    assert [f.frame for f in inspect(path, "nifti", DecodeOptions())] == list(range(7))
    for frame in (0, 3, 6):
        np.testing.assert_array_equal(read(path, frame).stored, series[..., frame])
    (only,) = inspect(path, "nifti", DecodeOptions(frames="first"))
    assert "7 frames" in only.notes[0]


def test_a_fourth_axis_of_one_is_no_series(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii", VOLUME[..., None, None])
    assert len(inspect(path, "nifti", DecodeOptions())) == 1
    np.testing.assert_array_equal(read(path).stored, VOLUME)


def test_a_film_kept_as_nifti_has_the_rows_and_columns_it_has_as_png(tmp_path: Path) -> None:
    """ITK writes rows along -y and columns along -x of NIfTI's RAS+ space (LPS, as DICOM)."""
    film = RNG.integers(0, 255, (20, 30)).astype(np.uint8)
    path = save(tmp_path / "film.nii", film.T[..., None], np.diag([-0.2, -0.1, 1, 1]))
    (info,) = inspect(path, "nifti", DecodeOptions())
    assert info.ndim == 2
    image = read(path)
    np.testing.assert_array_equal(image.stored, film)
    np.testing.assert_allclose(image.spacing_mm, (0.1, 0.2))


def test_a_two_axis_file_is_a_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "film.nii", VOLUME[:, :, 0], np.diag([-1.0, -1, 1, 1]))
    assert inspect(path, "nifti", DecodeOptions())[0].ndim == 2
    np.testing.assert_array_equal(read(path).stored, VOLUME[:, :, 0].T)


def test_non_finite_voxels_count_as_zero_and_are_noted(tmp_path: Path) -> None:
    values = RNG.normal(size=(6, 7, 8)).astype(np.float32)
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2] = np.nan, np.inf, -np.inf
    image = read(save(tmp_path / "v.nii.gz", values))
    assert np.isfinite(image.values).all() and np.isfinite(image.stored).all()
    assert image.values[0, 0, 0] == image.values[2, 2, 2] == 0
    assert image.notes == ("3 voxels were not finite and count as 0.",)


def test_an_invalid_affine_keeps_the_stored_axes_and_says_so(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii", VOLUME)
    raw = bytearray(path.read_bytes())
    raw[280:328] = np.full(12, np.nan, "<f4").tobytes()
    raw[252:254] = b"\0\0"
    path.write_bytes(raw)
    image = read(path)
    np.testing.assert_array_equal(image.stored, VOLUME)
    assert "orientation is not valid" in image.notes[0]


def test_a_file_that_does_not_say_how_the_patient_lies_is_noted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME, AFFINE)
    image.set_sform(AFFINE, code=0)
    image.set_qform(AFFINE, code=0)
    nib.save(image, tmp_path / "v.nii")
    (info,) = inspect(tmp_path / "v.nii", "nifti", DecodeOptions())
    assert "does not say" in info.notes[0]


def patched(path: Path, offset: int, new: bytes) -> Path:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(new)] = new
    path.write_bytes(raw)
    return path


def test_a_zero_dimension_is_unreadable(tmp_path: Path) -> None:
    path = patched(save(tmp_path / "v.nii", VOLUME), 42, (0).to_bytes(2, "little"))
    error = refusal(path)
    assert (error.status, "dimensions is zero" in error.message) == ("unreadable", True)


def test_a_damaged_header_is_unreadable_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = patched(save(tmp_path / "v.nii", VOLUME), 70, (9999).to_bytes(2, "little"))
    assert refusal(path).status == "unreadable"
    assert capfd.readouterr() == ("", "")


def test_a_truncated_file_is_found_by_the_scan(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii", VOLUME)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match="truncated"):
        inspect(path, "nifti", DecodeOptions())


@pytest.mark.parametrize("keep", [0.5, 0.98])
def test_a_truncated_zip_is_unreadable(tmp_path: Path, keep: float) -> None:
    path = save(tmp_path / "v.nii.gz", RNG.integers(0, 9999, (20, 20, 20)).astype(np.int16))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert refusal(path).status == "unreadable"


def test_a_flipped_bit_in_a_zip_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    noise = RNG.integers(0, 256, (32, 32, 32)).astype(np.uint8)
    raw = save(tmp_path / "v.nii", noise).read_bytes()
    zipped = bytearray(gzip.compress(raw, compresslevel=0))
    zipped[20000] ^= 1
    (tmp_path / "v.nii.gz").write_bytes(zipped)
    assert refusal(tmp_path / "v.nii.gz").status == "unreadable"


def test_padding_after_a_whole_zip_harms_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii.gz", VOLUME)
    path.write_bytes(path.read_bytes() + b"padding")
    np.testing.assert_array_equal(read(path).stored, VOLUME)


def test_all_axes_beyond_three_are_frames(tmp_path: Path) -> None:
    voxels = np.arange(4 * 4 * 4 * 2 * 3, dtype=np.float32).reshape(4, 4, 4, 2, 3)
    path = save(tmp_path / "v.nii", voxels)
    assert len(inspect(path, "nifti", DecodeOptions())) == 6
    np.testing.assert_array_equal(read(path, frame=5).stored, voxels[..., 1, 2])


def test_colours_become_their_luminance_and_complex_numbers_their_magnitude(tmp_path: Path) -> None:
    rgb = np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    rgb["R"][1, 2, 3] = 100
    turned = np.zeros((4, 4, 4), np.complex64)
    turned[1, 2, 3] = 3 + 4j
    for array, value in ((rgb, 29.9), (turned, 5.0)):
        image = read(save(tmp_path / "v.nii", array), options=DecodeOptions(labels=True))
        assert image.values[1, 2, 3] == pytest.approx(value) and np.count_nonzero(image.values) == 1


def test_more_voxels_than_the_limit_are_refused_and_the_option_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "v.nii", VOLUME)
    error = refusal(path, DecodeOptions(max_pixels=100))
    assert error.status == "unreadable"
    assert "8 x 9 x 10 voxels" in error.message and "max_pixels" in error.message


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_parcellation_is_a_label_map_unless_asked_for(tmp_path: Path, dtype: type) -> None:
    path = save(tmp_path / "v.nii.gz", parcels().astype(dtype))
    error = refusal(path)
    assert error.status == "ignored" and "the setting labels" in error.message
    assert read(path, options=DecodeOptions(labels=True)).stored.max() == parcels().max()


def test_masks_and_few_regions_are_label_maps(tmp_path: Path) -> None:
    for array in (parcels() > 0, np.where(parcels() == 0, 0, parcels() % 3 + 1), parcels()[:, :, 20] > 0):
        assert refusal(save(tmp_path / "v.nii.gz", array.astype(np.uint8))).status == "ignored"


@pytest.mark.parametrize("levels", [16, 32, 256])
def test_an_image_with_few_grey_levels_is_no_label_map(tmp_path: Path, levels: int) -> None:
    head = smooth_head(levels)
    assert 8 < len(np.unique(head)) <= levels
    np.testing.assert_array_equal(read(save(tmp_path / "v.nii.gz", head)).stored, head)


@pytest.mark.parametrize("greys", [(0, 128, 255), (0, 85, 170, 255), (10, 70, 130, 190, 250)])
def test_greys_that_lie_equally_far_apart_are_no_labels(tmp_path: Path, greys: tuple[int, ...]) -> None:
    """A label map would be ignored in silence; numbers that are names of regions follow no such rule."""
    ranks = np.digitize(smooth_head(256), np.linspace(0, 255, len(greys) + 1)[1:-1])
    ranks = np.minimum(ranks, len(greys) - 1)
    image = np.array(greys, np.uint8)[ranks]
    assert len(np.unique(image)) == len(greys)
    np.testing.assert_array_equal(read(save(tmp_path / "v.nii.gz", image)).stored, image)
    for names in ((0, 2, 41, 77, 251), (0, 1, 2, 4, 5), range(5)):
        assert refusal(save(tmp_path / "v.nii.gz", np.array(names, np.uint8)[ranks])).status == "ignored"


def test_an_enlarged_image_is_no_label_map(tmp_path: Path) -> None:
    """Nearest-neighbour enlargement makes every edge a step; flat regions stay small."""
    noisy = np.clip(smooth_head(64, 24) + RNG.integers(0, 6, (24, 24, 24)), 0, 70).astype(np.uint8)
    enlarged = noisy.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    assert read(save(tmp_path / "v.nii.gz", enlarged)).stored.shape == (48, 48, 48)


def test_an_empty_volume_is_left_to_the_check_for_blanks(tmp_path: Path) -> None:
    assert read(save(tmp_path / "v.nii", np.zeros((4, 5, 6), np.int16))).stored.max() == 0


@pytest.mark.real
def test_every_real_label_map_is_told_from_every_real_image() -> None:
    root = DATA / "mri"
    if not root.is_dir():
        pytest.skip(f"The real volumes are not at {root}; set LEAKSCAN_DATA.")
    wrong = []
    for path in sorted(root.rglob("*.nii.gz"))[::9]:
        labels = path.parent.name in ("labels", "synthseg_labels")
        try:
            read(path)
            found = False
        except ImageError as error:
            found = error.status == "ignored"
        if found != labels:
            wrong.append(path.name)
    assert not wrong
