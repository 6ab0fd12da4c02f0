"""What a script reads of the pairs."""

from __future__ import annotations

from pathlib import Path

from support.makers import NO_ENCODER, Leakscan, fill


def test_json_has_the_strongest_pairs_and_all_on_request(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", range(14), compress_level=1)
    fill(tmp_path / "B", range(1, 15), compress_level=9)
    some = leakscan("compare", "A", "B", "--json", *NO_ENCODER).json
    assert (some["n_pairs"], len(some["pairs"])) == (13, 10)
    assert {pair["relation"] for pair in some["pairs"]} == {"same_pixels"}
    assert len(leakscan("compare", "A", "B", "--json", "--pairs", *NO_ENCODER).json["pairs"]) == 13
