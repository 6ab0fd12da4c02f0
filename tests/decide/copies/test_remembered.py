"""A pair of pictures is looked at once, whichever comes first."""

import math
from pathlib import Path

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.copies.remembered import CopyMemory

TURNED = CopyCheck(True, 0.97, 120, "rot90+crop", 0.8)


def test_a_verdict_is_kept_over_runs_and_reads_both_ways(tmp_path: Path) -> None:
    cache = CopyMemory(tmp_path / "verdicts.parquet")
    cache.add("x", "a", TURNED)
    cache.save()
    again = CopyMemory(tmp_path / "verdicts.parquet")
    assert again.get("x", "a") == TURNED
    assert again.get("a", "x") == TURNED.swapped()
    assert again.get("a", "y") is None


def test_strangers_are_remembered_too(tmp_path: Path) -> None:
    cache = CopyMemory(tmp_path / "verdicts.parquet")
    cache.add("a", "b", NOT_ALIGNED)
    cache.save()
    found = CopyMemory(tmp_path / "verdicts.parquet").get("a", "b")
    assert found is not None and not found.same_image and math.isnan(found.correlation)


def test_another_version_forgets_and_a_damaged_file_is_made_again(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "verdicts.parquet"
    cache = CopyMemory(path)
    cache.add("a", "b", TURNED)
    cache.save()
    monkeypatch.setattr("leakscan.decide.copies.remembered.VERSION", "verify-next")
    assert CopyMemory(path).get("a", "b") is None
    path.write_bytes(b"no parquet")
    cache = CopyMemory(path)
    assert cache.get("a", "b") is None
    cache.add("a", "b", TURNED)
    cache.save()
    assert CopyMemory(path).get("a", "b") == TURNED
