"""The search bench measures a run on stores and finds what they share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.makers import Leakscan


@pytest.mark.slow
def test_the_bench_finds_what_is_shared_and_says_what_it_took(leakscan: Leakscan, tmp_path: Path) -> None:
    ran = leakscan(
        "bench", "search", "-o", str(tmp_path / "b"), "--films", "1500", "--shared", "100", "--json"
    )
    assert ran.code == 0
    found = ran.json
    assert found["people"] == found["copies"] == 100
    assert 20 < found["people_near"] == found["people_found"]
    assert 50 < found["copies_near"] == found["copies_found"]
    assert 0 < found["match_seconds"] < found["seconds"]
    assert found["peak_mb"] >= found["start_mb"] > 0
    assert list(found["recall"].values()) == [1.0]
