"""The benchmark of pairs makes as many candidates as it says, and writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan import tables
from leakscan.evaluation import pairs_bench


def test_every_near_copy_becomes_a_row_with_its_reasons(tmp_path: Path) -> None:
    found = pairs_bench.measure_pairs("copies", 20_000, tmp_path)
    assert found.candidates == found.rows == 20_000
    rows = tables.read(tmp_path / "copies" / "pairs.parquet", tables.PAIRS)
    assert len(rows) == 20_000
    assert set(rows["relation"].to_pylist()) == {"same_image"}
    assert all(words[0].startswith("perhaps a copy, not checked") for words in rows["evidence"].to_pylist())


def test_strangers_are_candidates_of_whom_few_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs_bench, "_STRANGERS", 1500)
    found = pairs_bench.measure_pairs("strangers", 20_000, tmp_path)
    assert 15_000 < found.candidates < 40_000
    assert found.rows < found.candidates / 10
