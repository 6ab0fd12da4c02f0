"""Forty identifiers stand where hospitals have them; none comes out but in paths, and hidden, none at all."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

import leakscan as package
from support import dicom_maker
from support.makers import NO_ENCODER, Leakscan, Ran, save, scene

IN_TAGS = {
    "PatientName": "ZULU^ALPHA",
    "PatientID": "MRN-ZULU-01",
    "OtherPatientIDs": "ZULU-02",
    "PatientBirthDate": "19330107",
    "PatientAddress": "ZULU-03 Street",
    "PatientTelephoneNumbers": "ZULU-04",
    "PatientMotherBirthName": "ZULU-05",
    "PatientComments": "ZULU-06",
    "EthnicGroup": "ZULU-07",
    "Occupation": "ZULU-08",
    "InstitutionName": "ZULU-09 Hospital",
    "InstitutionAddress": "ZULU-10",
    "InstitutionalDepartmentName": "ZULU-11",
    "ReferringPhysicianName": "ZULU^12",
    "PerformingPhysicianName": "ZULU^13",
    "OperatorsName": "ZULU^14",
    "PhysiciansOfRecord": "ZULU^15",
    "RequestingPhysician": "ZULU^16",
    "AccessionNumber": "ZULU-17",
    "StudyID": "ZULU-18",
    "StationName": "ZULU-19",
    "DeviceSerialNumber": "ZULU-20",
    "StudyDescription": "ZULU-21",
    "SeriesDescription": "ZULU-22",
    "ProtocolName": "ZULU-23",
    "ImageComments": "ZULU-24",
    "RequestedProcedureDescription": "ZULU-25",
    "AdmissionID": "ZULU-26",
    "StudyInstanceUID": "1.2.826.31337.27",
    "SeriesInstanceUID": "1.2.826.31337.28",
    "SOPInstanceUID": "1.2.826.31337.29",
    "FrameOfReferenceUID": "1.2.826.31337.30",
    "AcquisitionDate": "20190131",
    "StudyDate": "20190131",
    "ContentDate": "20190131",
}
IN_PRIVATE_TAGS, IN_A_MANIFEST, IN_A_PNG = "ZULU-36", "ZULU-37", "ZULU-38"
IN_PATHS = ["YANKEE-39", "YANKEE-40"]
SENT = "memory://zebra/sent.fps"
FILMS = ("--kind", "chest_radiograph")
DATES = re.compile(r"2019-?01-?31|1933-?01-?07")
"""Files and runs have dates of their own; these are of acquisition and birth."""


def found_in(text: str) -> set[str]:
    """The identifiers in a text that are no paths."""
    # Five digits alone turn up in hashes now and then.
    return {*re.findall(r"ZULU\S{0,12}|826\.31337\S{0,4}", text), *DATES.findall(text)}


def everything_below(folder: Path) -> str:
    """Everything that was written, as text: tables read, databases dumped, and all bytes as they are."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        parts.append(str(path.relative_to(folder)))
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            parts += [str(table.to_pylist()), str(table.schema.metadata)]
        elif path.suffix == ".sqlite3":
            with closing(sqlite3.connect(path)) as file:
                parts += list(file.iterdump())
        elif path.stat().st_size < 5_000_000:
            parts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(parts)


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """A ward with every identifier, and an archive that shares a film with it."""
    bucket = fsspec.filesystem("memory")
    if bucket.exists("/zebra"):
        bucket.rm("/zebra", recursive=True)
    ward = tmp_path / f"{IN_PATHS[0]}-ward"
    for number in range(3):
        ds = dicom_maker.dataset(dicom_maker.scene(phase=number), **IN_TAGS)
        block = ds.private_block(0x0099, "ACME", create=True)
        block.add_new(1, "LO", IN_PRIVATE_TAGS)
        ds.SOPInstanceUID = f"{IN_TAGS['SOPInstanceUID']}{number}"
        dicom_maker.write(ward / f"{IN_PATHS[1]}_{number}.dcm", ds)
    half = (ward / f"{IN_PATHS[1]}_0.dcm").read_bytes()
    (ward / f"{IN_PATHS[1]}_half.dcm").write_bytes(half[: len(half) // 2])
    (ward / f"{IN_PATHS[1]}_odd.dcm").write_bytes(half.replace(b"US\x02\x00\x10\x00", b"US\x02\x00\x99\x00"))
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("PatientName", IN_A_PNG)
    Image.fromarray(scene(5)).save(ward / f"{IN_PATHS[1]}.png", pnginfo=told)
    names = {f"{IN_PATHS[1]}.png": "train", f"{IN_PATHS[1]}_1.dcm": "test", "gone.png": "test"}
    lines = [f"{name},{IN_A_MANIFEST},{split}" for name, split in names.items()]
    (ward / "list.csv").write_text("\n".join(["path,subject_id,split", *lines, ""]))
    save(tmp_path / "archive" / "1.png", scene(5))
    pixels = pydicom.dcmread(ward / f"{IN_PATHS[1]}_1.dcm").pixel_array
    dicom_maker.film(tmp_path / "archive" / "2.dcm", np.asarray(pixels), **IN_TAGS)
    return tmp_path


def every_command(leakscan: Leakscan, ward: str, *options: str) -> list[Ran]:
    """Whatever writes, prints or fails on a hospital's ward."""
    few = ("--max-unread", "1", *options, *NO_ENCODER)
    return [
        leakscan("compare", ward, "archive", "-o", "run", "--pairs", *few),
        leakscan("compare", ward, "archive", "-o", "run", "--overwrite", "--json", "--pairs", *few),
        leakscan("compare", f"{ward}/list.csv", "archive", "-o", "listed", *few),
        leakscan("fingerprint", ward, "-o", "a.fps", *options, *NO_ENCODER),
        leakscan("duplicates", ward, "-o", "twice", "--workers", "0", *options, *NO_ENCODER),
        leakscan("compare", f"{ward}/none", "archive", *few),
        leakscan("compare", ward, "archive", "-o", "run", *few),
        leakscan("explain", "run", "0"),
        leakscan("exclude", "run", "--from", "archive", "-o", "drop"),
        leakscan("ci", "run", "--markdown", "told.md"),
        leakscan("compare", ward, "archive", "-o", "timed", "--profile", "timeline.json", *few),
        leakscan("compare", "--like", "timed", "-o", "again"),
        leakscan("fingerprint", ward, "-o", SENT, *options, *NO_ENCODER),
        leakscan("compare", SENT, "archive", "-o", "from_sent", "--json", *few),
        leakscan("fingerprint", ward, "-o", "kept.fps", "--with-previews", *options, *NO_ENCODER),
        leakscan("fingerprint", ward, "-o", "films.fps", "--with-details", *options, *FILMS),
        leakscan(
            "compare", "films.fps", "archive", "-o", "by_details", "--max-unread", "1", *options, *FILMS
        ),
        leakscan("store", "merge", "a.fps", "-o", "merged.fps"),
        leakscan("show", "run"),
        leakscan("diff", "run", "timed"),
        leakscan("map", "run"),
        leakscan("split", ward, "-o", "splits", "--ratios", "50/50", *options, *NO_ENCODER),
        leakscan("audit", f"{ward}/list.csv", "-o", "audited", *few),
        leakscan("compare", ward, "archive", "--dry-run", *few),
        leakscan("compare", ward, "archive", "--same-ids", "-o", "same", *few),
        leakscan("compare", ward, f"{ward}/absent.csv", *few),
        leakscan("calibrate", f"{ward}/list.csv", "-o", "own.safetensors", *FILMS),
        leakscan("evaluate", f"{ward}/list.csv", "-o", "figures"),
        leakscan("verdicts", "add", "run", "wanted", "--image", "archive/1.png", "--reason", "baseline"),
    ]


def sent_bytes() -> str:
    """What lies behind the URL of the store that was sent, as text."""
    system = fsspec.filesystem("memory")
    folder = SENT.partition("://")[2]
    parts = [f"{name}\n{system.cat(name).decode('latin-1')}" for name in sorted(system.find(f"/{folder}"))]
    for name in system.find(f"/{folder}"):
        if name.endswith(".parquet"):
            with system.open(name) as stream:
                parts.append(str(pq.read_table(stream).to_pylist()))
    return "\n".join(parts)


def written(folder: Path, ward: Path) -> str:
    """What lies below a folder, but for the ward, the archive, and the list of names for its owner."""
    kept = folder / "kept"
    kept.mkdir()
    for path in list(folder.iterdir()):
        if path not in (ward, folder / "archive", kept) and not path.name.endswith(".names.csv"):
            path.rename(kept / path.name)
    return everything_below(kept)


def test_there_are_forty_and_the_search_finds_each(hospital: Path) -> None:
    planted = [*IN_TAGS.values(), IN_PRIVATE_TAGS, IN_A_MANIFEST, IN_A_PNG, *IN_PATHS]
    assert len(planted) == 40
    everything = everything_below(hospital)
    assert [text for text in planted if text not in everything] == []
    assert all(found_in(text) for text in planted if not text.startswith("YANKEE"))


def test_by_default_nothing_but_paths_comes_out(hospital: Path, leakscan: Leakscan) -> None:
    ward = hospital / f"{IN_PATHS[0]}-ward"
    ran = every_command(leakscan, ward.name)
    assert ran[0].code == 1, ran[0].err
    assert {one.code for one in ran} <= {0, 1, 2, 3}
    told = "".join(one.out + one.err for one in ran)
    assert found_in(told) == set()
    everything = written(hospital, ward)
    assert found_in(everything) == set()
    assert IN_PATHS[1] in everything
    behind = sent_bytes()
    assert "shards" in behind and found_in(behind) == set()
    made = {path.name for path in (hospital / "kept").iterdir()}
    assert {"timeline.json", "again", "films.fps", "kept.fps", "by_details", "audited"} <= made


def test_with_paths_hidden_nothing_comes_out_at_all(hospital: Path, leakscan: Leakscan) -> None:
    ward = hospital / f"{IN_PATHS[0]}-ward"
    ran = every_command(leakscan, ward.name, "--hide-paths")
    told = "".join(one.out + one.err for one in ran)
    assert found_in(told) == set()
    left = re.findall(rf".{{0,60}}{IN_PATHS[1]}.{{0,60}}", told)
    assert not left, left
    ward.rename(hospital / "ward")
    everything = written(hospital, hospital / "ward")
    assert found_in(everything) == set()
    behind = sent_bytes()
    assert "shards" in behind and found_in(behind) == set() and IN_PATHS[1] not in behind


def test_a_bug_in_a_reader_tells_nobody_what_it_read(
    hospital: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot handle {IN_TAGS['PatientName']} of {IN_PATHS[1]}")

    from leakscan.cli import app

    monkeypatch.setattr("leakscan.run.reported.decide_pairs", broken)
    try:
        package.compare(hospital / f"{IN_PATHS[0]}-ward", hospital / "archive")
    except RuntimeError as error:
        assert found_in(app._told(error, ["--hide-paths"])) == set()
    else:
        raise AssertionError("nothing was raised")


@pytest.mark.parametrize(("dates", "kept"), [("no", 0), ("shifted", 3), ("clear", 3)])
def test_dates_are_kept_as_the_user_wants_and_change_with_the_wish(
    hospital: Path, leakscan: Leakscan, dates: str, kept: int
) -> None:
    from support.makers import rows_of

    ward = f"{IN_PATHS[0]}-ward"
    for wish in ("clear", dates):  # the cache holds what an earlier run wanted
        options = ("--dates", wish, "--max-unread", "1", "-o", "run", "--overwrite")
        ran = leakscan("compare", ward, "archive", *options, *NO_ENCODER)
        assert ran.code == 1, ran.err
    rows = [r for r in rows_of(hospital / "run", "images") if r["dataset"] == ward and r["status"] == "ok"]
    found = [row["acquired"] for row in rows if row["acquired"]]
    assert len(found) >= kept and (kept or not found)
    in_cache = everything_below(hospital / ".leakscan")
    assert bool(DATES.search(in_cache)) == (dates == "clear")
    if dates == "shifted":
        assert len(set(found)) == 1 and "2019-01-31" not in found
        assert abs((dt.date.fromisoformat(found[0]) - dt.date(2019, 1, 31)).days) <= 3652
