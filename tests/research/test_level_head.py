"""A head that was levelled has strangers of other hospitals about the origin, and no direction of its own."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.fingerprint.encoders.registry import cards
from leakscan.research.command import run_command
from leakscan.research.level_head import level_head, raw_prints, within_people
from leakscan.research.merge_weights import average_weights
from leakscan.training.films.pack import pack_manifest


def hospital(folder: Path, people: int, films: int, seed: int) -> Path:
    """A data set of noise pictures with one look, and its manifest."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "subject_id", "split"])
        for person in range(people):
            look = rng.integers(0, 200, (8, 8))
            for film in range(films):
                picture = np.kron(look + rng.integers(0, 40, (8, 8)), np.ones((8, 8))).astype(np.uint8)
                name = f"{person}_{film}.png"
                Image.fromarray(picture).save(folder / name)
                table.writerow([name, f"p{person}", "train"])
    return folder / "manifest.csv"


def test_strangers_of_other_hospitals_lie_about_the_origin_and_people_differ_alike_in_every_direction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = hospital(tmp_path / "cxr/nih", people=90, films=2, seed=1)
    theirs = hospital(tmp_path / "cxr/other_hospitals", people=40, films=1, seed=2)
    card, folder = cards()["cxr-lite0"]
    start = folder / card.weights
    net = ARCHITECTURES[card.architecture](128)
    net.load_state_dict(average_weights([start], card.architecture))
    target = tmp_path / "level.safetensors"
    words: list[object] = [start, "--data", tmp_path, "-o", target, "--side", 64]
    words += ["--centre", 1, "--own", 1, "--even", 0.001]
    monkeypatch.setattr(sys, "argv", ["level", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        run_command(level_head)
    assert not left.value.code
    levelled = ARCHITECTURES[card.architecture](128)
    levelled.load_state_dict(load_file(target))

    others, own = (pack_manifest(path, {"train"}, 64, workers=0) for path in (theirs, ours))
    before, after = raw_prints(net, others.films), raw_prints(levelled, others.films)
    assert np.linalg.norm(before.mean(0)) > before.std(0).mean()
    assert np.abs(after.mean(0)).max() < 1e-3 * after.std()
    spread_before, spread_after = (
        np.linalg.eigvalsh(within_people(raw_prints(n, own.films), own.subjects))[-6:]
        for n in (net, levelled)
    )
    assert spread_after[-1] / spread_after[0] < 0.5 * spread_before[-1] / spread_before[0]
