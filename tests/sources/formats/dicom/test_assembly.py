"""How slices become volumes: by series and geometry, wherever the files lie."""

from __future__ import annotations

import random
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pydicom
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid

from leakscan.settings import DecodeOptions
from leakscan.sources.contents import mark_of
from leakscan.sources.formats import decode
from leakscan.sources.formats.dicom import assemble, read_header
from leakscan.sources.formats.dicom.planes import KEYS, Plane, stacks
from leakscan.types import ImageRef
from support.dicom_maker import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SECONDARY,
    ULTRASOUND_CINE,
    enhanced,
    film,
    scene,
    series,
)

ALL, FIRST = DecodeOptions(), DecodeOptions(frames="first")


def images(root: Path, options: DecodeOptions = ALL) -> list[ImageRef]:
    return assemble([read_header(p) for p in sorted(root.rglob("*")) if p.is_file()], root, options)


def test_a_film_is_an_image_named_by_its_path(tmp_path: Path) -> None:
    film(tmp_path / "é dir" / "a b.dcm")
    (ref,) = images(tmp_path)
    path = unicodedata.normalize("NFC", "é dir/a b.dcm")
    assert (ref.path, ref.ndim, ref.format, ref.frame) == (path, 2, "dicom", 0)
    assert ref.image_id == blake3(path.encode()).hexdigest()
    assert ref.signature == mark_of(tmp_path / "é dir" / "a b.dcm")


def test_slices_scattered_over_folders_make_one_volume_in_order(tmp_path: Path) -> None:
    paths = series(tmp_path / "deep" / "a", count=8)
    for path in paths[::2]:
        (tmp_path / "deep" / "b").mkdir(exist_ok=True)
        path.rename(tmp_path / "deep" / "b" / path.name)
    (ref,) = images(tmp_path)
    assert (ref.ndim, ref.path, ref.notes) == (3, "deep", ())
    assert [Path(f).name for f in ref.files] == [p.name for p in paths]
    uids = sorted(read_header(Path(f)).sop_uid for f in ref.files)
    assert ref.image_id == blake3("\n".join(uids).encode()).hexdigest()


def test_the_order_of_the_headers_and_the_name_of_the_root_change_nothing(tmp_path: Path) -> None:
    series(tmp_path / "one" / "ct")
    film(tmp_path / "one" / "film.dcm")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    headers = [read_header(p) for p in (tmp_path / "two").rglob("*.dcm")]
    random.Random(0).shuffle(headers)
    first, second = images(tmp_path / "one"), assemble(headers, tmp_path / "two", ALL)
    assert [(r.image_id, r.path) for r in first] == [(r.image_id, r.path) for r in second]


def test_a_touched_slice_changes_the_signature_of_its_volume(tmp_path: Path) -> None:
    paths = series(tmp_path)
    before = images(tmp_path)[0].signature
    paths[2].touch()
    assert images(tmp_path)[0].signature != before


def test_a_series_of_one_slice_is_a_picture(tmp_path: Path) -> None:
    (path,) = series(tmp_path / "x", count=1)
    (ref,) = images(tmp_path)
    assert (ref.ndim, ref.path) == (2, f"x/{path.name}")


def test_copies_of_slices_are_left_out_and_noted(tmp_path: Path) -> None:
    paths = series(tmp_path / "ct", count=5)
    (tmp_path / "copy").mkdir()
    shutil.copy(paths[1], tmp_path / "copy" / "again.dcm")
    series(tmp_path / "resent", count=1, start=3, name="new")  # another UID, all else equal
    (ref,) = images(tmp_path)
    assert len(ref.files) == 5
    assert any("2 copies of slices were left out" in note for note in ref.notes)


def test_missing_slices_are_noted(tmp_path: Path) -> None:
    paths = series(tmp_path, count=10)
    for path in paths[4:7]:
        path.unlink()
    (ref,) = images(tmp_path)
    assert len(ref.files) == 7
    assert ref.notes == ("3 slices are missing between 17.5 and 27.5 mm.",)


def test_localizers_of_several_orientations_are_kept_apart(tmp_path: Path) -> None:
    for k, orientation in enumerate((AXIAL, SAGITTAL, CORONAL)):
        series(tmp_path, count=3 + k, orientation=orientation, name=f"o{k}_")
    found = images(tmp_path)
    assert sorted(len(ref.files) for ref in found) == [3, 4, 5]
    assert len({ref.image_id for ref in found}) == 3
    assert all("3 orientations" in " ".join(ref.notes) for ref in found)


def test_slices_of_another_pixel_spacing_are_another_volume(tmp_path: Path) -> None:
    series(tmp_path, count=3)
    series(tmp_path, count=4, name="zoom", PixelSpacing=[0.4, 0.3])
    assert sorted(len(ref.files) for ref in images(tmp_path)) == [3, 4]


def test_echoes_at_equal_positions_are_volumes_of_their_own(tmp_path: Path) -> None:
    for echo in (80, 9):
        series(tmp_path, count=5, name=f"e{echo}_", EchoTime=str(echo), Modality="MR")
    found = images(tmp_path)
    assert [len(ref.files) for ref in found] == [5, 5]
    notes = {" ".join(ref.notes) for ref in found}
    assert any("number 1 (EchoTime 9)" in note for note in notes)
    assert any("number 2 (EchoTime 80)" in note for note in notes)
    (only,) = images(tmp_path, FIRST)
    assert "EchoTime 9)" in " ".join(only.notes)
    assert "only the first" in " ".join(only.notes)


def test_time_points_without_any_mark_are_told_apart_by_instance_number(tmp_path: Path) -> None:
    for turn in range(3):
        for k in range(4):
            series(tmp_path, count=1, start=k, name=f"t{turn}_", InstanceNumber=100 * turn + k)
    found = images(tmp_path)
    assert [len(ref.files) for ref in found] == [4, 4, 4]
    for ref in found:
        assert len({read_header(Path(f)).number // 100 for f in ref.files}) == 1


def test_acquisition_numbers_that_run_through_a_volume_do_not_tear_it(tmp_path: Path) -> None:
    for k in range(6):
        series(tmp_path, count=1, start=k, AcquisitionNumber=k, AcquisitionTime=f"1200{k:02d}")
    assert [len(ref.files) for ref in images(tmp_path)] == [6]


def test_two_subjects_whose_series_share_a_uid_are_not_mixed(tmp_path: Path) -> None:
    series(tmp_path / "a", count=3)
    series(tmp_path / "b", count=3, PatientID="P2")
    found = images(tmp_path)
    assert [(ref.path, ref.tags.subject, len(ref.files)) for ref in found] == [("a", "P1", 3), ("b", "P2", 3)]


def test_series_without_a_uid_are_told_apart_by_folder(tmp_path: Path) -> None:
    for folder in "ab":
        series(tmp_path / folder, count=3, SeriesInstanceUID="")
    assert [ref.path for ref in images(tmp_path)] == ["a", "b"]


def test_repeated_instance_uids_never_give_two_images_one_id(tmp_path: Path) -> None:
    for folder in "ab":
        series(tmp_path / folder, count=1, SeriesInstanceUID=f"1.{ord(folder)}", SOPInstanceUID="1.2.9")
    first, second = images(tmp_path)
    assert first.image_id != second.image_id
    assert "come" in second.notes[-1]


def test_films_of_one_series_are_images_of_their_own(tmp_path: Path) -> None:
    for name in "ab":
        film(tmp_path / name, ImageOrientationPatient=list(AXIAL), ImagePositionPatient=[0, 0, 0])
    assert [ref.path for ref in images(tmp_path)] == ["a", "b"]


def test_every_frame_of_a_cine_is_an_image(tmp_path: Path) -> None:
    frames = np.stack([scene(phase=k) for k in range(3)])
    film(tmp_path / "cine", frames, sop_class=ULTRASOUND_CINE, modality="US")
    found = images(tmp_path)
    whole = blake3(b"cine").hexdigest()
    assert [(ref.frame, ref.ndim, ref.image_id) for ref in found] == [
        (0, 2, whole),
        (1, 2, f"{whole}#1"),
        (2, 2, f"{whole}#2"),
    ]
    (only,) = images(tmp_path, FIRST)
    assert only.notes == ("It holds 3 frames; only the first is read.",)


def test_an_enhanced_object_is_a_volume_per_contrast(tmp_path: Path) -> None:
    frames = np.stack([scene(phase=k) for k in range(8)])
    places = [[0.0, 0.0, 3.0 * (k // 2)] for k in range(8)]
    enhanced(tmp_path / "x", frames, places, echo=[10.0, 80.0] * 4)
    found = images(tmp_path)
    assert [(ref.frame, ref.ndim) for ref in found] == [(0, 3), (1, 3)]
    assert len(images(tmp_path, FIRST)) == 1


def test_slices_without_a_position_stay_pictures(tmp_path: Path) -> None:
    film(tmp_path / "shot", sop_class=SECONDARY, modality="CT")
    assert images(tmp_path)[0].ndim == 2


@settings(max_examples=60)
@given(st.data())
def test_every_slice_is_in_exactly_one_stack_or_dropped_as_a_copy(data: st.DataObject) -> None:
    """Whatever the geometry, no slice vanishes and no volume has two slices at one position."""
    planes = [
        Plane(
            uid=str(data.draw(st.integers(0, 30))),
            orientation=data.draw(st.sampled_from([AXIAL, SAGITTAL])),
            position=(0.0, 0.0, float(data.draw(st.integers(0, 4)))),
            grid=(4, data.draw(st.sampled_from([4, 5]))),
            spacing=(1.0, 1.0),
            keys=tuple(
                data.draw(st.sampled_from(["", "1", "2"])) if k in (0, 2, 11) else ""
                for k in range(len(KEYS))
            ),
            number=data.draw(st.integers(0, 5)),
        )
        for _ in range(data.draw(st.integers(1, 14)))
    ]
    found = stacks(planes)
    assert sorted(i for s in found for i in (*s.members, *s.dropped)) == list(range(len(planes)))
    for stack in found:
        axis = np.cross(planes[stack.members[0]].orientation[:3], planes[stack.members[0]].orientation[3:])
        heights = [float(np.dot(axis, planes[i].position)) for i in stack.members]
        assert heights == sorted(heights)
        if planes[stack.members[0]].orientation == AXIAL:
            assert len(set(heights)) == len(heights)


def test_slices_that_each_name_a_series_of_their_own_are_one_volume(tmp_path: Path) -> None:
    paths = series(tmp_path, count=6)
    whole = images(tmp_path)
    for path in paths:
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID = uid.generate_uid()
        ds.save_as(path)
    (volume,) = images(tmp_path)
    assert volume.files == whole[0].files and volume.ndim == 3
    assert "different SeriesInstanceUIDs" in " ".join(volume.notes)


@pytest.mark.parametrize("change", ["study", "place", "folder"])
def test_single_slices_that_do_not_stand_in_a_row_stay_apart(tmp_path: Path, change: str) -> None:
    for k, path in enumerate(series(tmp_path, count=4)):
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID = uid.generate_uid()
        if change == "study":
            ds.StudyInstanceUID, ds.PatientID = uid.generate_uid(), f"P{k}"
        elif change == "place":
            ds.ImagePositionPatient = [0, 0, (0, 2.5, 40, 41)[k]]
        path.unlink()
        target = tmp_path / (str(k) if change == "folder" else "") / path.name
        target.parent.mkdir(exist_ok=True)
        ds.save_as(target)
    assert len(images(tmp_path)) == 4


def without(path: Path, *elements: str) -> pydicom.Dataset:
    """Takes elements out of a file."""
    ds = pydicom.dcmread(path)
    for name in elements:
        del ds[name]
    ds.save_as(path)
    return ds


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("ImagePositionPatient",), "InstanceNumbers"),
        (("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"), "InstanceNumbers"),
        (("ImagePositionPatient", "InstanceNumber"), "names"),
    ],
)
def test_slices_that_lost_their_places_are_one_volume_with_a_note(
    tmp_path: Path, lost: tuple[str, ...], said: str
) -> None:
    paths = series(tmp_path, count=12)
    (whole,) = images(tmp_path)
    voxels = decode(whole, ALL)
    for k, path in enumerate(paths):
        without(path, *lost)
        path.rename(tmp_path / f"im{k + 1}")  # im2 comes before im10
    (volume,) = images(tmp_path)
    assert (volume.ndim, len(volume.files)) == (3, 12)
    assert said in " ".join(volume.notes)
    found = decode(volume, ALL)
    same = [np.array_equal(found.stored[:, :, ::turn], voxels.stored) for turn in (1, -1)]
    assert any(same) and found.spacing_mm == ()


@pytest.mark.parametrize("lost", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("number", [1, 5, 8])
def test_a_slice_that_lost_a_tag_stays_in_its_volume(tmp_path: Path, lost: str, number: int) -> None:
    paths = series(tmp_path, count=8)
    (whole,) = images(tmp_path)
    voxels = decode(whole, ALL)
    without(paths[number - 1], lost)
    (volume,) = images(tmp_path)
    assert lost in " ".join(volume.notes)
    found = decode(volume, ALL)
    assert np.array_equal(found.stored, voxels.stored)
    assert np.allclose(found.spacing_mm, voxels.spacing_mm)


def test_slices_that_lost_their_orientations_are_in_the_order_of_their_places(tmp_path: Path) -> None:
    for k, path in enumerate(series(tmp_path, count=8)):
        ds = without(path, "ImageOrientationPatient")
        ds.InstanceNumber = (k * 3) % 8
        ds.save_as(path)
    (volume,) = images(tmp_path)
    assert [f.rpartition("_")[2] for f in volume.files] == [f"{k}.dcm" for k in range(8)]
    assert "positions" in " ".join(volume.notes) and decode(volume, ALL).stored.shape[2] == 8


def test_slices_with_a_study_each_of_one_person_are_one_volume(tmp_path: Path) -> None:
    for path in series(tmp_path, count=6):
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID, ds.StudyInstanceUID = uid.generate_uid(), uid.generate_uid()
        ds.save_as(path)
    (volume,) = images(tmp_path)
    assert len(volume.files) == 6


def test_lost_slices_that_each_name_a_series_of_their_own_are_one_volume(tmp_path: Path) -> None:
    for path in series(tmp_path, count=5):
        ds = without(path, "ImagePositionPatient")
        ds.SeriesInstanceUID = uid.generate_uid()
        ds.save_as(path)
    (volume,) = images(tmp_path)
    assert len(volume.files) == 5


def test_lost_slices_that_nothing_puts_in_order_are_pictures_and_say_so(tmp_path: Path) -> None:
    for k, path in enumerate(series(tmp_path, count=6)):
        ds = without(path, "ImagePositionPatient")
        ds.InstanceNumber = k // 2
        ds.save_as(path)
    found = images(tmp_path)
    assert len(found) == 6
    assert all("kept as a picture" in " ".join(ref.notes) for ref in found)
