"""Leakage inside one dataset: subjects and pictures that stand in two splits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from support.makers import NO_ENCODER, Leakscan, fill, rows_of, save, scene


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Subject 1 has different pictures in train and test; one picture stands in both under two names."""
    root = tmp_path / "data"
    for split, images in (
        ("train", {"sub-01/a": 1, "sub-02/a": 2, "sub-03/a": 3}),
        ("test", {"sub-01/b": 11, "sub-04/a": 2, "sub-05/a": 5}),
    ):
        for name, seed in images.items():
            save(root / split / f"{name}.png", scene(seed), compress_level=1 if split == "train" else 9)
    (root / "README.txt").write_text("about")
    return root


def found(run: Path) -> set[tuple[Any, ...]]:
    return {(p["path_a"], p["path_b"], p["relation"], p["decision"]) for p in rows_of(run, "pairs")}


def test_an_audit_of_folders_finds_shared_subjects_and_contradictions(
    leakscan: Leakscan, tmp_path: Path, dataset: Path
) -> None:
    ran = leakscan("audit", "data", "--subjects", "bids", "--json", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    audit = ran.json["audit"]
    assert audit["shared_subjects"] == 1
    assert audit["contradictions"] == 1
    assert len(audit["contradicting_pairs"]) == 1
    assert audit["outside_splits"] == ["README.txt"]
    assert sum(audit["shared_subjects_by_pair"].values()) == 1
    names = {d["name"] for d in ran.json["datasets"]}
    assert names == {"data:test", "data:train"}
    pairs = {
        tuple(sorted((a, b))): (relation, decision) for a, b, relation, decision in found(tmp_path / "run")
    }
    assert pairs == {
        ("sub-01/a.png", "sub-01/b.png"): ("same_subject", "leak"),
        ("sub-02/a.png", "sub-04/a.png"): ("same_pixels", "leak"),
    }


def test_the_terminal_tells_them_apart(leakscan: Leakscan, dataset: Path) -> None:
    ran = leakscan("audit", "data", "--subjects", "bids", *NO_ENCODER)
    assert "1 declared subject" in ran.out
    assert "two different declared subjects" in ran.out


@pytest.fixture
def manifest(dataset: Path) -> Path:
    rows = ["path,subject_id,fold"]
    rows += [
        f"{p.relative_to(dataset)},{p.parent.name},{'left' if 'train' in p.parts else 'right'}"
        for p in sorted(dataset.rglob("*.png"))
    ]
    (dataset / "films.csv").write_text("\n".join(rows) + "\n")
    return dataset / "films.csv"


def test_an_audit_of_a_manifest_finds_the_same(leakscan: Leakscan, tmp_path: Path, manifest: Path) -> None:
    ran = leakscan("audit", manifest, "--split-column", "fold", "--json", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    assert (ran.json["audit"]["shared_subjects"], ran.json["audit"]["contradictions"]) == (1, 1)
    assert {relation for _, _, relation, _ in found(tmp_path / "run")} == {"same_subject", "same_pixels"}


def test_an_audit_of_clean_splits_finds_nothing(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "data" / "Train" / "sub-1a", [1])
    fill(tmp_path / "data" / "VAL" / "sub-2a", [2])
    fill(tmp_path / "data" / "test" / "sub-3a", [3])
    ran = leakscan("audit", "data", "--subjects", "bids", "--json", *NO_ENCODER)
    assert len(ran.json["comparisons"]) == 3
    assert ran.json["audit"]["shared_subjects"] == 0
    assert ran.json["audit"]["contradictions"] == 0
    assert ran.code == 3  # no subject comparison


@pytest.mark.parametrize(
    "first, second", [("train.zip", "test.zip"), ("Train", "TEST.tar.gz"), ("val", "val.zip")]
)
def test_archives_are_splits_like_folders(
    leakscan: Leakscan, tmp_path: Path, first: str, second: str
) -> None:
    for name, numbers in ((first, [1, 2]), (second, [2, 3])):
        folder = tmp_path / "data" / name
        if "." not in name:
            fill(folder, numbers)
            continue
        fill(tmp_path / "packed" / name, numbers)
        kind = "zip" if name.endswith(".zip") else "gztar"
        folder.parent.mkdir(exist_ok=True)
        shutil.make_archive(
            str(folder).removesuffix(".zip").removesuffix(".tar.gz"), kind, tmp_path / "packed" / name
        )
    ran = leakscan("audit", "data", "--json", "-o", "run", *NO_ENCODER)
    assert ran.code == 1, ran.err
    assert [d["status"]["ok"] for d in ran.json["datasets"]] == [2, 2]
    assert [relation for _, _, relation, _ in found(tmp_path / "run")] == ["same_file"]


def test_every_file_may_be_a_split_and_what_is_excluded_is_none(
    leakscan: Leakscan, tmp_path: Path, dataset: Path
) -> None:
    """Who stands in a dataset twice: one search and one sentence for all splits, not one for every two."""
    fill(dataset / "more", list(range(20, 32)))
    rows = ["path"] + [str(p.relative_to(dataset)) for p in sorted(dataset.rglob("*.png"))]
    (dataset / "films.csv").write_text("\n".join(rows) + "\n")
    each = ("audit", "data/films.csv", "--split-column", "path", "--exclude", "train/sub-01/*")
    ran = leakscan(*each, "--json", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    assert len(ran.json["datasets"]) == 17
    assert found(tmp_path / "run") == {("test/sub-04/a.png", "train/sub-02/a.png", "same_pixels", "leak")}
    assert ran.json["audit"]["shared_subjects_by_pair"] == {}
    shown = leakscan(*each, *NO_ENCODER).out
    assert "130 more pairs of datasets" in shown
    assert len(shown.splitlines()) <= 27


@pytest.mark.parametrize("value", ["a+b", "c&d", "50%", "e=f", "two words", " padded ", "a/b", "é#1", "?"])
def test_any_name_of_a_split_will_do(leakscan: Leakscan, tmp_path: Path, value: str) -> None:
    fill(tmp_path / "data", [1, 2])
    (tmp_path / "data" / "m.csv").write_text(f"path,split\n1.png,{value}\n2.png,other\n")
    ran = leakscan("audit", "data/m.csv", "--json", *NO_ENCODER)
    assert ran.code == 3, ran.err
    assert [d["status"]["ok"] for d in ran.json["datasets"]] == [1, 1]


@pytest.mark.parametrize("option", [(), ("--hide-paths",)])
def test_what_stands_outside_every_split_is_told_without_flooding_or_betraying(
    leakscan: Leakscan, dataset: Path, option: tuple[str, ...]
) -> None:
    for i in range(150):
        (dataset / f"QUERTZ-{i}.png").write_bytes(b"")
    ran = leakscan("audit", "data", "--json", *option, *NO_ENCODER)
    assert ran.out.count("QUERTZ") <= (0 if option else 100)
    assert "151" in ran.out


def test_a_dataset_without_two_splits_is_refused_with_a_hint(
    leakscan: Leakscan, tmp_path: Path, manifest: Path
) -> None:
    fill(tmp_path / "flat", [1])
    ran = leakscan("audit", "flat")
    assert ran.code == 2
    assert "flat has no two splits" in ran.error
    assert "--split-column" in ran.error
    ran = leakscan("audit", manifest, "--split-column", "nowhere")
    assert ran.code == 2
    assert "'nowhere'" in ran.error
    assert "fold" in ran.error


def test_rows_without_a_split_are_counted(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "data", [1, 2, 3])
    (tmp_path / "data" / "m.csv").write_text("path,split\n1.png,a\n2.png,b\n3.png,\n")
    ran = leakscan("audit", "data/m.csv", "--json", *NO_ENCODER)
    assert ran.json["audit"]["outside_splits"] == ["1 row without a split"]
    assert any(w.startswith("1 row without a split") for w in ran.json["warnings"])


def test_a_second_audit_reads_nothing(leakscan: Leakscan, dataset: Path) -> None:
    assert leakscan("audit", "data", "--json", *NO_ENCODER).json["timings"]["images_read"] == 6
    assert leakscan("audit", "data", "--json", *NO_ENCODER).json["timings"]["images_read"] == 0
