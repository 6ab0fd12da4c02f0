"""``leakscan show`` says again what a run found."""

from __future__ import annotations

import json
from pathlib import Path

from support.makers import NO_ENCODER, Leakscan, fill


def test_a_run_is_said_again_with_its_details(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", range(3))
    fill(tmp_path / "B", range(2, 5), compress_level=9)
    first = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert "Details   leakscan show run" in first.out
    (tmp_path / "A").rename(tmp_path / "gone")
    (tmp_path / "run").rename(tmp_path / "moved")
    again = leakscan("show", "moved", "--pairs")
    assert again.code == 0, again.err
    said = first.out.replace(" run", " moved").replace("run/", "moved/")
    lines = [line for line in said.splitlines() if line.strip() and "Details" not in line]
    assert all(line in again.out for line in lines)
    assert "Details" not in again.out  # they follow
    assert "2.png" in again.out
    assert "A × B" in again.out
    assert leakscan("show", "moved", "--json").json["n_pairs"] == 1


def test_what_is_no_run_of_now_is_said(leakscan: Leakscan, tmp_path: Path) -> None:
    assert leakscan("show", "nowhere").code == 2
    fill(tmp_path / "A", range(2))
    fill(tmp_path / "B", range(2))
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    del summary["answer"]
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    ran = leakscan("show", "run")
    assert ran.code == 2
    assert "earlier version" in ran.error
