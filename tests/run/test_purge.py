"""``leakscan purge`` removes what was derived from images, lists it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.makers import NO_ENCODER, Leakscan


@pytest.fixture
def made(two_folders: object, tmp_path: Path, leakscan: Leakscan) -> Path:
    """A cache, a store, and a run folder with lists and verdicts."""
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    leakscan("exclude", "run", "--from", "B")
    leakscan("verdicts", "add", "run", "same", "--image", "A/3.png", "--image", "B/3.png", "--file",
             "run/verdicts.parquet", "--by", "ann")  # fmt: skip
    leakscan("fingerprint", "A", "-o", "a.fps", "--hide-paths", *NO_ENCODER)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    return tmp_path


def test_a_dry_run_lists_and_removes_nothing(made: Path, leakscan: Leakscan) -> None:
    before = sorted(made.rglob("*"))
    ran = leakscan("purge", ".leakscan", "--dry-run", "--json")
    assert ran.code == 0
    assert any(name.endswith("pairs.sqlite3") for name in ran.json["would_remove"])
    assert sorted(made.rglob("*")) == before


def test_without_a_yes_nobody_is_asked_behind_a_pipe_and_nothing_goes(made: Path, leakscan: Leakscan) -> None:
    before = sorted(made.rglob("*"))
    ran = leakscan("purge", "run")
    assert ran.code == 2 and "--yes" in ran.error
    assert leakscan("purge", "run", "--json").code == 2
    assert sorted(made.rglob("*")) == before


def test_a_cache_keeps_its_key_alone(made: Path, leakscan: Leakscan) -> None:
    ran = leakscan("purge", ".leakscan", "--yes", "--json")
    assert ran.code == 0 and len(ran.json["removed"]) >= 4
    assert sorted(p.name for p in (made / ".leakscan").iterdir()) == [".gitignore", "identity.key"]
    assert leakscan("compare", "A", "B", *NO_ENCODER).code == 1  # and works again
    leakscan("purge", ".leakscan", "--yes", "--all")
    assert not (made / ".leakscan" / "identity.key").exists()


def test_a_run_keeps_verdicts_and_what_is_not_its_own(made: Path, leakscan: Leakscan) -> None:
    ran = leakscan("purge", "run", "--yes")
    assert ran.code == 0 and "verdicts.parquet" in ran.out
    assert {p.name for p in (made / "run").iterdir()} == {
        "notes.txt",
        "verdicts.parquet",
        "verdicts.parquet.lock",
    }
    again = leakscan("purge", "run", "--yes")
    assert again.code == 2 and "no cache, store or run folder" in again.error


def test_a_store_goes_with_its_names(made: Path, leakscan: Leakscan) -> None:
    assert (made / "a.fps.names.csv").exists()
    assert leakscan("purge", "a.fps", "--yes").code == 0
    assert not (made / "a.fps").exists() and not (made / "a.fps.names.csv").exists()


def test_nothing_else_is_touched(made: Path, leakscan: Leakscan) -> None:
    for folder in ("A", ".", "gone", "A/0.png"):
        ran = leakscan("purge", folder, "--yes", "--all")
        assert ran.code == 2, folder
    (made / "run" / "far.csv").symlink_to(made / "A" / "0.png")
    (made / ".leakscan" / "review").symlink_to(made / "A")
    leakscan("purge", "run", "--yes")
    leakscan("purge", ".leakscan", "--yes")
    assert len(list((made / "A").iterdir())) == 4
