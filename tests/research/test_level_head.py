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
from leakscan.research.level_head import level_head, levelling, raw_prints, within_people
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


def test_strangers_of_other_hospitals_lie_about_the_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital(tmp_path / "cxr/nih", people=10, films=2, seed=1)
    theirs = hospital(tmp_path / "cxr/other_hospitals", people=20, films=1, seed=2)
    card, folder = cards()["cxr-lite0"]
    start = folder / card.weights
    net = ARCHITECTURES[card.architecture](128)
    net.load_state_dict(average_weights([start], card.architecture))
    target = tmp_path / "level.safetensors"
    words: list[object] = [start, "--data", tmp_path, "-o", target, "--side", 64]
    words += ["--architecture", card.architecture, "--centre", 1, "--own", 1, "--even", 0.001]
    monkeypatch.setattr(sys, "argv", ["level", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        run_command(level_head)
    assert not left.value.code
    levelled = ARCHITECTURES[card.architecture](128)
    levelled.load_state_dict(load_file(target))

    others = pack_manifest(theirs, {"train"}, 64, workers=0)
    before, after = raw_prints(net, others.films), raw_prints(levelled, others.films)
    assert np.linalg.norm(before.mean(0)) > before.std(0).mean()
    assert np.abs(after.mean(0)).max() < 1e-3 * after.std()


def test_prints_of_one_person_then_differ_alike_in_every_direction() -> None:
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(400), 2).astype(str)
    people = np.repeat(rng.normal(0, 3, (400, 6)), 2, axis=0)
    prints = people + rng.normal(size=(800, 6)) * [5, 3, 1, 1, 0.5, 0.1]
    level = levelling(within_people(prints, subjects), 0.0)
    spread = np.linalg.eigvalsh(within_people(prints @ level, subjects))
    assert spread[-1] == pytest.approx(spread[0])
    half = np.linalg.eigvalsh(
        within_people(prints @ levelling(within_people(prints, subjects), 0.5), subjects)
    )
    assert 1.5 < half[-1] / half[0] < 5**2 / 0.1**2
