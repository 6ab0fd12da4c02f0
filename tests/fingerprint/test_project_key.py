"""Stores of one project can be compared by whoever has them; stores of two have nothing in common."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.fingerprint.project_key import ProjectKey
from leakscan.fingerprint.store import Store
from leakscan.run.project_keys import brought_under, turned_cohorts
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from support.made_up_encoder import ENCODER, MadeUpModels, calibration, made_up_context
from support.makers import NO_ENCODER, Leakscan, Picture, fill, rows_of, save
from support.simulated_people import alike, dataset, people
from support.simulated_people import films as films_of

SAYS_NOTHING = {
    "format", "kind", "shape", "spacing_mm", "status", "frame", "encoder", "encoded_by", "gate",
    "prepared_with", "split", "acquired", "left_out", "error", "notes", "read_notes",
}  # fmt: skip
"""Columns that may agree in stores of two projects: the kind of image, and what a user asked for."""


@pytest.fixture
def keys(tmp_path: Path) -> tuple[ProjectKey, ProjectKey]:
    out = []
    for name in ("one.key", "two.key"):
        (tmp_path / name).write_bytes(np.random.default_rng(len(out)).bytes(32))
        out.append(ProjectKey(tmp_path / name))
    return out[0], out[1]


@pytest.mark.parametrize("length", [8, 128, 4224])
def test_a_key_turns_fingerprints_and_keeps_every_angle(
    keys: tuple[ProjectKey, ProjectKey], length: int
) -> None:
    prints = np.random.default_rng(3).normal(size=(5, length))
    one, two = (key.turned(prints) for key in keys)
    assert np.allclose(one @ one.T, prints @ prints.T) and np.allclose(two @ two.T, prints @ prints.T)
    assert not np.allclose(one, two) and not np.allclose(one, prints)


def test_a_turned_fingerprint_lies_anywhere(keys: tuple[ProjectKey, ProjectKey]) -> None:
    """One number of a fingerprint is spread over all, as by a random matrix."""
    turned = keys[0].turned(np.eye(128))
    assert np.abs(turned).max() < 0.5
    assert 2.5 < (turned**4).mean() * 128**2 < 3.5  # 3 where the numbers are normal


def test_line_ends_of_an_editor_make_no_other_key(tmp_path: Path) -> None:
    for name, end in (("a", b""), ("b", b"\n"), ("c", b"\r\n")):
        (tmp_path / name).write_bytes(b"0f" * 32 + end)
    assert len({ProjectKey(tmp_path / name).key_id for name in "abc"}) == 1


def values(table: Any, name: str) -> Iterator[str]:
    for value in table[name].to_pylist():
        if value is not None:
            yield str(value)


def test_stores_of_two_projects_have_nothing_in_common(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture], keys: object
) -> None:
    for i, film in enumerate(films[:4]):
        save(tmp_path / "ward" / f"sub-{i}" / f"{i}.png", film)
    asked = ("--kind", "chest_radiograph", "--subjects", "bids", "--hide-paths")
    for name in ("one", "two"):
        ran = leakscan(
            "fingerprint", "ward", "-o", f"{name}.fps", "--project-key", f"{name}.key", "--json", *asked
        )
        assert ran.json["fingerprints"] == 4, ran.err
        assert ran.json["images_read"] == (4 if name == "one" else 0)
    one, two = (Store.open(tmp_path / f"{name}.fps") for name in ("one", "two"))
    for name in one.load().column_names:
        if name not in SAYS_NOTHING:
            assert not {*values(one.load(), name)} & {*values(two.load(), name)}, name
    for name in ("keypoints", "details", "preview", "signature", "content", "quality"):
        assert one.load()[name].null_count == 4, name
    for name in ("dataset", "key_id", "project_key_id"):
        assert getattr(one.info, name) != getattr(two.info, name), name
    prints = [np.array(s.load()["fingerprint"].to_pylist(), np.float64) for s in (one, two)]
    assert np.abs(prints[0] @ prints[1].T).max() < 0.5  # as random directions
    names = (tmp_path / "one.fps.names.csv").read_text()
    assert all(path in names for path in one.load()["path"].to_pylist())
    assert "sub-3/3.png" in names


def decisions(result: Result) -> list[tuple[Any, ...]]:
    columns = ("path_a", "path_b", "relation", "decision")
    return sorted(tuple(row[c] for c in columns) for row in result.pairs.to_pylist())


@pytest.mark.parametrize("cohort", [False, True])
def test_one_key_changes_no_decision(keys: tuple[ProjectKey, ProjectKey], cohort: bool) -> None:
    known, names = people(1, 800), np.array([f"person {i}" for i in range(800)] * 2)
    plain = fit_calibration(
        ENCODER,
        "plain",
        Cohort(np.zeros((0, 128), np.float16), 0),
        LabelledPrints(np.concatenate([films_of(2, known), films_of(3, known)]), names),
    )
    fitted = calibration() if cohort else plain
    ones, cosine = people(5, 30), np.linspace(0.3, 0.7, 30)[:, None]
    sides = [
        dataset("a", np.concatenate([ones, people(6, 220)])),
        dataset("b", np.concatenate([alike(7, ones, cosine), people(8, 220)])),
    ]
    open_ = decide_and_report(sides, made_up_context(MadeUpModels(fitted)), None)
    turned = turned_cohorts({ENCODER: fitted}, keys[0])[ENCODER]
    keyed = decide_and_report(
        [brought_under(side, keys[0]) for side in sides], made_up_context(MadeUpModels(turned)), None
    )
    assert decisions(open_) == decisions(keyed)
    assert len(decisions(keyed)) > 10


@pytest.fixture
def wards(leakscan: Leakscan, tmp_path: Path, keys: object) -> Path:
    """Two folders that share one picture as it is, and the stores of both under one key."""
    fill(tmp_path / "A" / "sub-07", range(3), compress_level=1)
    fill(tmp_path / "B" / "sub-07", range(2, 5), compress_level=9)
    for name in ("A", "B"):
        ran = leakscan("fingerprint", name, "-o", f"{name}.fps", "--project-key", "one.key",
                       "--subjects", "bids", *NO_ENCODER)  # fmt: skip
        assert ran.code == 0, ran.err
    return tmp_path


def pairs_in(folder: Path) -> list[tuple[str, str, str]]:
    return [(r["path_a"], r["path_b"], r["relation"]) for r in rows_of(folder, "pairs")]


def test_stores_of_one_project_are_compared_without_the_key(leakscan: Leakscan, wards: Path) -> None:
    shutil.rmtree(wards / "A")
    shutil.rmtree(wards / "B")
    (wards / "one.key").unlink()
    ran = leakscan("compare", "A.fps", "B.fps", "-o", "run", "--same-ids")
    assert ran.code == 1, ran.err
    found = pairs_in(wards / "run")
    assert found[0] == ("sub-07/2.png", "sub-07/2.png", "same_pixels")
    assert {relation for *_, relation in found[1:]} == {"same_subject"}  # identifiers join as well
    identity = json.loads((wards / "run" / "summary.json").read_text())["identity"]
    assert len(set(identity["project_key_ids"].values())) == 1


def test_images_are_compared_with_a_keyed_store_where_the_key_is(leakscan: Leakscan, wards: Path) -> None:
    leakscan("fingerprint", "A", "-o", "plain.fps", *NO_ENCODER)
    for name, source in (("folder", "B"), ("plain store", "plain.fps")):
        other = "A.fps" if source == "B" else "B.fps"
        ran = leakscan("compare", other, source, "-o", name, "--project-key", "one.key", *NO_ENCODER)
        assert ran.code == 1, ran.err
        assert pairs_in(wards / name) == [("sub-07/2.png", "sub-07/2.png", "same_pixels")], name
        without = leakscan("compare", other, source, *NO_ENCODER)
        assert without.code == 2 and "--project-key" in without.err and "project key" in without.err


@pytest.mark.parametrize("at_hand", [(), ("--project-key", "one.key"), ("--project-key", "two.key")])
def test_stores_of_two_projects_are_refused(
    leakscan: Leakscan, wards: Path, at_hand: tuple[str, ...]
) -> None:
    leakscan("fingerprint", "B", "-o", "other.fps", "--project-key", "two.key", *NO_ENCODER)
    ran = leakscan("compare", "A.fps", "other.fps", "-o", "run", *at_hand)
    assert ran.code == 2 and "project key" in ran.err and "cannot be compared" in ran.err
    assert not (wards / "run").exists()


def test_a_store_keeps_to_its_project(leakscan: Leakscan, wards: Path) -> None:
    for key in ((), ("--project-key", "two.key")):
        ran = leakscan("fingerprint", "A", "-o", "A.fps", *key, *NO_ENCODER)
        assert ran.code == 2 and "project key" in ran.err
    again = leakscan("fingerprint", "A", "-o", "A.fps", "--project-key", "one.key", "--json",
                     "--subjects", "bids", *NO_ENCODER)  # fmt: skip
    assert again.json["images_read"] == 0


def test_a_leakscan_that_knows_no_project_keys_refuses_a_keyed_store(wards: Path) -> None:
    """Versions up to 0.1.0 read format 1 only; they would find nobody in a turned store."""
    assert json.loads((wards / "A.fps" / "store.json").read_text())["format"] == 2


def test_what_is_no_secret_or_shows_the_images_is_refused(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "short.key").write_bytes(b"secret\n")
    (tmp_path / "long.key").write_bytes(bytes(32))
    for words, key, more in (
        ("cannot be read", "no.key", ()),
        ("can be guessed", "short.key", ()),
        ("show the images", "long.key", ("--with-previews",)),
    ):
        ran = leakscan("fingerprint", "A", "-o", "a.fps", "--project-key", key, *more, *NO_ENCODER)
        assert ran.code == 2 and words in ran.err, ran.err
        assert not (tmp_path / "a.fps").exists()
