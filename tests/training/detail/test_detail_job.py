"""The second look is taught from drawn films: fair batches, a loss that falls, a run that goes on."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from leakscan.decide.calibration.likelihood import JointEvidence
from leakscan.decide.persons.nearest import match_nearest
from leakscan.errors import SourceError
from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.synthetic.films import draw_film
from leakscan.training.detail import job as look_training
from leakscan.training.detail.batches import DetailBatches, nearest_strangers
from leakscan.training.detail.steps import DetailConfig, teach
from leakscan.types import Silent
from support.makers import save, unit_vectors


@settings(max_examples=40)
@given(st.lists(st.integers(0, 6), min_size=4, max_size=40), st.integers(0, 99))
def test_strangers_are_the_nearest_films_of_other_subjects(codes: list[int], seed: int) -> None:
    subjects = np.unique(np.array(codes), return_inverse=True)[1]
    if subjects.max() == 0:
        return
    prints = unit_vectors(seed, len(subjects), 8)
    found = nearest_strangers(prints, subjects, 5)
    for film, row in enumerate(found.tolist()):
        others = [k for k in range(len(subjects)) if subjects[k] != subjects[film]]
        plain = sorted(others, key=lambda k: -float(prints[film] @ prints[k]))[: len(row)]
        np.testing.assert_allclose(prints[row] @ prints[film], prints[plain] @ prints[film], atol=1e-6)
        assert set(row) <= set(others)


def test_a_batch_pairs_films_of_one_subject_and_no_stranger_is_of_it() -> None:
    subjects = np.array([f"s{i // 3}" for i in range(60)])
    batches = DetailBatches(subjects, unit_vectors(0, 60), size=8, strangers=4, seed=3)
    for step in range(5):
        batch = batches(step)
        assert (batch.anchors != batch.partners).all()
        assert (subjects[batch.anchors] == subjects[batch.partners]).all()
        assert (subjects[batch.strangers] != subjects[batch.anchors][:, None]).all()
        assert len(set(subjects[batch.anchors])) == len(batch.anchors) == 8
    again = DetailBatches(subjects, unit_vectors(0, 60), size=8, strangers=4, seed=3)
    np.testing.assert_array_equal(batches(2).strangers, again(2).strangers)


def test_subjects_of_one_film_each_teach_nothing() -> None:
    with pytest.raises(SourceError, match="No subject has two films"):
        DetailBatches(np.array(["a", "b", "c"]), unit_vectors(0, 3))


def people(seed: int, subjects: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.str_]]:
    """Two pictures of everybody that are alike up to noise."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.repeat(rng.integers(40, 216, (subjects, 24, 24)), 8, axis=1), 8, axis=2)
    twice = np.concatenate([own + rng.integers(-40, 41, own.shape) for _ in range(2)])
    return twice.astype(np.uint8), np.array([f"s{i}" for i in range(subjects)] * 2)


def small_net() -> DetailNet:
    """With a trunk that costs nothing: patches of 16 px, seen by random filters."""
    torch.manual_seed(0)
    net = DetailNet()
    fine = [nn.Conv2d(1, 112, 16, 16), nn.BatchNorm2d(112), *(nn.Identity() for _ in range(12))]
    net.trunk = nn.Sequential(*fine, nn.AvgPool2d(2), nn.Conv2d(112, 192, 1))
    return net


def taught(folder: Path, steps: int, trunk_rate: float = 0.0) -> DetailNet:
    films, subjects = people(0, 10)
    batches = DetailBatches(subjects, unit_vectors(1, 20), 4, 2)
    folder.mkdir(exist_ok=True)
    net = small_net()
    config = DetailConfig(steps=steps, trunk_rate=trunk_rate, plain=1.0)
    teach(net, films, batches, config, folder, Silent())
    return net


def test_teaching_tells_people_apart_that_it_has_not_seen(tmp_path: Path) -> None:
    net = taught(tmp_path / "run", 60).eval()
    films, _ = people(9, 8)
    with torch.inference_mode():
        details = net.describe(torch.from_numpy(films)[:, None] / 255.0)
        same = net.compare(details[:8], details[8:])
        other = net.compare(details[:8], details[8:].roll(1, 0))
    assert (same > other).float().mean() > 0.8


def test_the_trunk_learns_at_its_own_rate_or_not_at_all(tmp_path: Path) -> None:
    fresh = small_net().trunk.state_dict()
    still = taught(tmp_path / "still", 2).trunk.state_dict()
    moved = taught(tmp_path / "moved", 2, trunk_rate=0.3).trunk.state_dict()
    assert all(torch.equal(fresh[k], still[k]) for k in fresh)
    assert not torch.equal(fresh["0.weight"], moved["0.weight"])
    assert torch.equal(fresh["1.running_mean"], moved["1.running_mean"])


def test_a_finished_run_is_found_and_not_taught_again(tmp_path: Path) -> None:
    once, again = taught(tmp_path / "run", 3), taught(tmp_path / "run", 3)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), again.parameters(), strict=True))


def test_the_nearest_are_ranked_by_score_and_look() -> None:
    """Films 0 and 1 are of one subject, but 2 is nearer to 0; the look knows better."""
    prints = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.9, 0, np.sqrt(0.19)]], np.float32)
    subjects = np.array(["x", "x", "y"])
    near = match_nearest(prints, subjects, lambda pairs: np.where(pairs.max(axis=1) == 1, 3.0, -3.0))
    assert near.first.tolist() == [False, True]
    assert near.within.all()
    joint = JointEvidence(
        bias=0.0, score=1.0, detail=1.0, alone_bias=0.0, alone_score=1.0, subjects=1.0, impostors=1
    )
    assert near.first_by_both(joint).all()
    assert (
        near.first_by_both(
            JointEvidence(
                bias=0.0, score=1.0, detail=0.0, alone_bias=0.0, alone_score=1.0, subjects=1.0, impostors=1
            )
        )
        == near.first
    ).all()


def test_the_command_teaches_a_look_goes_on_and_refuses_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for subject in range(10):
        for visit in range(2):
            name = f"{subject}-{visit}.png"
            film = draw_film(np.random.default_rng(subject), height=96)
            save(tmp_path / name, film[visit : 90 + visit])
            rows.append((name, f"p{subject}", "train" if subject < 6 else "val"))
    manifest = tmp_path / "films.csv"
    with manifest.open("w", newline="") as f:
        csv.writer(f).writerows([("path", "subject_id", "split"), *rows])

    def run(*more: str) -> None:
        given = [
            str(manifest),
            "-o",
            str(tmp_path / "run"),
            "--steps",
            "2",
            "--anchors",
            "2",
            "--workers",
            "0",
        ]
        monkeypatch.setattr(sys, "argv", ["look_training", *given, *more])
        look_training.main()

    run()
    found = json.loads(capsys.readouterr().out)
    assert found["train_films"] == 12 and 0 <= found["val"]["precision_at_1_looked"] <= 1
    first = FilmDetailMatcher(Path(found["look"])).digest
    run()
    assert FilmDetailMatcher(Path(found["look"])).digest == first
    with pytest.raises(SystemExit, match="seed was 0 and is now 4"):
        run("--seed", "4")
