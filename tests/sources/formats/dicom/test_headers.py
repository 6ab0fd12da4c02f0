"""What a scan learns from DICOM headers, and what it refuses."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from pydicom import uid

from leakscan.errors import ImageError
from leakscan.sources.contents import mark_of
from leakscan.sources.formats.dicom import read_header
from support.dicom_maker import DX, change, dataset, film, scene, series, write


def refusal(path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_header(path)
    return caught.value


def test_a_header_holds_what_identifies_and_describes_the_film(tmp_path: Path) -> None:
    path = film(
        tmp_path / "a",
        BodyPartExamined="chest",
        ViewPosition="pa",
        AcquisitionDate="20191224",
        SOPClassUID=DX,
    )
    header = read_header(path)
    assert (header.rows, header.columns, header.frames) == (36, 40, 1)
    assert header.path == str(path)
    assert (header.size, header.mark) == (path.stat().st_size, mark_of(path))
    tags = header.tags
    assert (tags.modality, tags.body_part, tags.view) == ("CR", "CHEST", "PA")
    assert (tags.subject, tags.study_uid, tags.acquired) == ("P1", "1.2.3.4", "2019-12-24")


def test_the_study_date_stands_in_for_a_missing_or_senseless_acquisition_date(tmp_path: Path) -> None:
    assert read_header(film(tmp_path / "a")).acquired == "2020-01-31"
    assert read_header(film(tmp_path / "b", AcquisitionDate="20209999")).acquired == "2020-01-31"
    assert read_header(film(tmp_path / "c", StudyDate="1999.12.31")).acquired == "1999-12-31"
    assert read_header(film(tmp_path / "d", StudyDate="")).acquired == ""


def test_headers_are_small_and_survive_json_and_pickle(tmp_path: Path) -> None:
    header = read_header(series(tmp_path, count=1)[0])
    assert len(json.dumps(asdict(header))) < 1500
    assert json.loads(json.dumps(asdict(header)))["rows"] == 36
    assert pickle.loads(pickle.dumps(header)) == header


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole").read_bytes()
    (tmp_path / "bare").write_bytes(whole[132:])
    assert read_header(tmp_path / "bare").subject == "P1"


def test_a_file_without_meta_information_is_read(tmp_path: Path) -> None:
    ds = dataset(scene())
    del ds.file_meta
    ds.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert read_header(tmp_path / "bare").rows == 36


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "RT Dose"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "12-lead ECG Waveform"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "Key Object Selection Document"),
        ("1.2.840.10008.1.3.10", "Media Storage Directory"),
    ],
)
def test_objects_that_are_no_images_are_ignored_by_name(tmp_path: Path, sop_class: str, name: str) -> None:
    error = refusal(write(tmp_path / "x", change(dataset(scene(), SOPClassUID=sop_class), PixelData=None)))
    assert error.status == "ignored"
    assert name in error.message
    assert error.message.endswith("not an image.")


@pytest.mark.parametrize(
    ("sop_class", "status"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", "ignored"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "ignored"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "unsupported"),
        ("1.2.840.10008.5.1.4.1.1.30", "unsupported"),
    ],
)
def test_pixels_of_other_objects_count_unless_they_were_drawn_over_images(
    tmp_path: Path, sop_class: str, status: str
) -> None:
    assert refusal(film(tmp_path / "x", SOPClassUID=sop_class)).status == status


def test_whole_slides_and_videos_are_unsupported(tmp_path: Path) -> None:
    slide = refusal(film(tmp_path / "a", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6"))
    assert slide.status == "unsupported"
    ds = dataset(scene())
    ds.file_meta.TransferSyntaxUID = uid.MPEG4HP41
    ds["PixelData"].is_undefined_length = True
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd"
    assert refusal(write(tmp_path / "b", ds)).message == "It is a DICOM video, which is not read."


def test_dicom_without_pixels_is_unsupported(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "x", change(dataset(scene()), PixelData=None)))
    assert (error.status, error.message) == ("unsupported", "It has no pixels.")


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am a text file\n" * 40, bytes(5000), b"\x89PNG\r\n" * 90]
)
def test_what_is_no_dicom_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert refusal(tmp_path / "x").status == "unreadable"


def test_a_missing_file_is_unreadable_and_says_why(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.status == "unreadable"
    assert "no such file" in error.message


def test_a_number_of_frames_that_the_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    error = refusal(film(tmp_path / "x", NumberOfFrames=2_000_000_000))
    assert error.status == "unreadable"
    assert "2000000000 frames" in error.message


def test_elements_with_the_wrong_representation_are_read_anyway(tmp_path: Path) -> None:
    ds = dataset(scene(), StudyDate="")
    for keyword, vr, value in (
        ("Rows", "IS", "36"),
        ("InstanceNumber", "US", 7),
        ("PatientID", "UN", b"P9 "),
        ("ImagePositionPatient", "LO", "a\\b\\c"),
    ):
        if keyword in ds:
            delattr(ds, keyword)
        ds.add_new(keyword, vr, value)
    header = read_header(write(tmp_path / "x", ds))
    assert (header.rows, header.number, header.subject, header.position) == (36, 7, "P9", ())


def test_patient_identifiers_in_other_scripts_are_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "x", SpecificCharacterSet="ISO_IR 192", PatientID="Пациент 7")
    assert read_header(path).subject == "Пациент 7"


@pytest.mark.parametrize("begins_after", ["the preamble", "what describes the file", "the first elements"])
def test_a_file_whose_rest_was_never_written_takes_no_time(tmp_path: Path, begins_after: str) -> None:
    """A transfer that breaks off leaves zeros: pydicom took two seconds a megabyte, for each of them."""
    whole = film(tmp_path / "x").read_bytes()
    meta = 144 + int.from_bytes(whole[140:144], "little")
    keep = {"the preamble": 132, "what describes the file": meta, "the first elements": meta + 50}[
        begins_after
    ]
    if keep > meta:  # to the end of an element
        keep = meta + 8 + int.from_bytes(whole[meta + 6 : meta + 8], "little")
    (tmp_path / "x").write_bytes(whole[:keep] + bytes(16 << 20))
    began = time.process_time()
    assert refusal(tmp_path / "x").status in ("unreadable", "unsupported")
    assert time.process_time() - began < 2
