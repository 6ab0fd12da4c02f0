"""Detail matching is taught from drawn films: fair batches, a loss that falls, a run that goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
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
from leakscan.research.command import run_command
from leakscan.research.teach_detail import teach_detail
from leakscan.synthetic.films import draw_film
from leakscan.training.detail.batches import DetailBatches, nearest_strangers
from leakscan.training.detail.config import DetailConfig
from leakscan.training.detail.lesson import DETAIL_METRICS, DetailLesson
from leakscan.training.trainer import Stopped, Trainer, read_rows
from leakscan.types import Progress, Silent
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
    config = DetailConfig(anchors=8, strangers=4, seed=3)
    batches = DetailBatches(subjects, unit_vectors(0, 60), config)
    for step in range(5):
        batch = batches(step)
        assert (batch.anchors != batch.partners).all()
        assert (subjects[batch.anchors] == subjects[batch.partners]).all()
        assert (subjects[batch.strangers] != subjects[batch.anchors][:, None]).all()
        assert len(set(subjects[batch.anchors])) == len(batch.anchors) == 8
    again = DetailBatches(subjects, unit_vectors(0, 60), config)
    np.testing.assert_array_equal(batches(2).strangers, again(2).strangers)


def test_subjects_of_one_film_each_teach_nothing() -> None:
    with pytest.raises(SourceError, match="No subject has two films"):
        DetailBatches(np.array(["a", "b", "c"]), unit_vectors(0, 3), DetailConfig())


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


def taught(folder: Path, steps: int, trunk_rate: float = 0.0, progress: Progress | None = None) -> DetailNet:
    films, subjects = people(0, 10)
    config = DetailConfig(steps=steps, trunk_rate=trunk_rate, plain=1.0, anchors=4, strangers=2)
    batches = DetailBatches(subjects, unit_vectors(1, 20), config)
    folder.mkdir(exist_ok=True)
    net = small_net()
    Trainer(DetailLesson(net, films, batches, config), folder, progress).run()
    return net


@pytest.mark.slow
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


class CtrlC(Silent):
    """The user presses Ctrl-C during the first step."""

    def note(self, text: str) -> None:
        if text.startswith("step 1 "):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    once = taught(tmp_path / "once", 3, trunk_rate=0.3)
    with pytest.raises(Stopped, match="after step 1 of 3"):
        taught(tmp_path / "twice", 3, 0.3, CtrlC())
    twice = taught(tmp_path / "twice", 3, 0.3)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True))
    one, other = (read_rows(tmp_path / name, DETAIL_METRICS, 3) for name in ("once", "twice"))
    assert one == other
    assert [row["step"] for row in one] == [3]


def test_a_finished_run_is_found_and_not_taught_again(tmp_path: Path) -> None:
    once, again = taught(tmp_path / "run", 3), taught(tmp_path / "run", 3)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), again.parameters(), strict=True))


def test_the_nearest_are_ranked_by_score_and_detail() -> None:
    """Films 0 and 1 are of one subject, but 2 is nearer to 0; the details know better."""
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


@pytest.mark.slow
def test_the_command_teaches_goes_on_and_refuses_other_settings(
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

    def run(*more: str) -> int:
        given = f"{manifest} -o {tmp_path / 'run'} --steps 2 --anchors 2 --workers 0".split()
        monkeypatch.setattr(sys, "argv", ["teach_detail", *given, *more])
        with pytest.raises(SystemExit) as left:
            run_command(teach_detail)
        return int(left.value.code or 0)

    assert run() == 0
    found = json.loads(capsys.readouterr().out)
    assert found["train_films"] == 12 and 0 <= found["val"]["precision_at_1_looked"] <= 1
    first = FilmDetailMatcher(Path(found["look"])).digest
    assert run() == 0
    assert FilmDetailMatcher(Path(found["look"])).digest == first
    assert run("--seed", "4") == 2
    assert "seed was 0 and is now 4" in capsys.readouterr().err
    assert run("--plain", "1.5") == 2
    assert "plain is 1.5; it must be a share between 0 and 1" in capsys.readouterr().err
