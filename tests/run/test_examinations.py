"""Who is in two splits is told by the UIDs of an examination too, where no PatientID says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import uid

from support import dicom_maker
from support.makers import NO_ENCODER, Leakscan, rows_of


def film(path: Path, phase: float, **elements: Any) -> None:
    given = {
        "PatientID": None,
        "StudyInstanceUID": uid.generate_uid(),
        "SeriesInstanceUID": uid.generate_uid(),
    }
    pixels = dicom_maker.scene(phase=phase) + dicom_maker.scene(phase=3.1 * phase)[::-1]
    dicom_maker.film(path, pixels, **(given | elements))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("command", ["audit", "compare"])
def test_one_uid_in_two_splits_is_a_leak(
    leakscan: Leakscan, tmp_path: Path, keyword: str, command: str
) -> None:
    shared = {keyword: uid.generate_uid()}
    film(tmp_path / "d" / "train" / "a.dcm", 1.0, **shared)
    film(tmp_path / "d" / "train" / "b.dcm", 2.0)
    film(tmp_path / "d" / "test" / "c.dcm", 4.0, **shared)
    film(tmp_path / "d" / "test" / "d.dcm", 5.0)
    given = ["d"] if command == "audit" else ["d/train", "d/test", "--same-ids"]
    ran = leakscan(command, *given, "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    (pair,) = rows_of(tmp_path / "run", "pairs")
    assert {pair["path_a"], pair["path_b"]} == {"a.dcm", "c.dcm"}
    assert (pair["relation"], pair["decision"]) == ("same_subject", "leak")
    assert any("StudyInstanceUID" in words for words in pair["evidence"])


def test_a_uid_that_two_subjects_share_proves_nothing(leakscan: Leakscan, tmp_path: Path) -> None:
    shared = {"StudyInstanceUID": uid.generate_uid()}
    film(tmp_path / "d" / "train" / "a.dcm", 1.0, PatientID="P1", **shared)
    film(tmp_path / "d" / "test" / "c.dcm", 4.0, PatientID="P2", **shared)
    assert leakscan("audit", "d", "--json", *NO_ENCODER).json["decisions"]["same_subject"]["leak"] == 0


def test_a_uid_that_stands_on_most_of_a_source_proves_nothing(leakscan: Leakscan, tmp_path: Path) -> None:
    shared = {"StudyInstanceUID": uid.generate_uid()}
    for i in range(12):
        film(tmp_path / "d" / "train" / f"{i}.dcm", 1.0 + i, **shared)
    film(tmp_path / "d" / "test" / "c.dcm", 40.0, **shared)
    assert leakscan("audit", "d", "--json", *NO_ENCODER).json["decisions"]["same_subject"]["leak"] == 0


def test_without_same_ids_a_uid_is_no_proof(leakscan: Leakscan, tmp_path: Path) -> None:
    shared = {"StudyInstanceUID": uid.generate_uid()}
    film(tmp_path / "a" / "a.dcm", 1.0, **shared)
    film(tmp_path / "b" / "c.dcm", 4.0, **shared)
    assert leakscan("compare", "a", "b", "--json", *NO_ENCODER).json["decisions"]["same_subject"]["leak"] == 0


@pytest.mark.parametrize("command", ["audit", "compare"])
def test_uids_of_their_own_join_nobody(leakscan: Leakscan, tmp_path: Path, command: str) -> None:
    """The same films, but for what they share: without it nothing is left of the leak."""
    film(tmp_path / "d" / "train" / "a.dcm", 1.0)
    film(tmp_path / "d" / "train" / "b.dcm", 2.0)
    film(tmp_path / "d" / "test" / "c.dcm", 4.0)
    film(tmp_path / "d" / "test" / "d.dcm", 5.0)
    given = ["d"] if command == "audit" else ["d/train", "d/test", "--same-ids"]
    ran = leakscan(command, *given, "-o", "run", *NO_ENCODER)
    assert ran.code != 1
    assert rows_of(tmp_path / "run", "pairs") == []


@pytest.mark.parametrize("command", ["audit", "compare"])
def test_films_and_series_of_one_examination_are_one_person(
    leakscan: Leakscan, tmp_path: Path, command: str
) -> None:
    """A topogram in train and the series in test share nothing but their examination."""
    shared = {"StudyInstanceUID": uid.generate_uid()}
    film(tmp_path / "d" / "train" / "a.dcm", 1.0, **shared)
    film(tmp_path / "d" / "train" / "b.dcm", 2.0)
    dicom_maker.series(tmp_path / "d" / "test" / "ct", PatientID=None, **shared)
    given = ["d"] if command == "audit" else ["d/train", "d/test", "--same-ids"]
    ran = leakscan(command, *given, "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    (pair,) = rows_of(tmp_path / "run", "pairs")
    assert (pair["relation"], pair["decision"]) == ("same_subject", "leak")
    assert "a.dcm" in (pair["path_a"], pair["path_b"])
    assert any("StudyInstanceUID" in words for words in pair["evidence"])
