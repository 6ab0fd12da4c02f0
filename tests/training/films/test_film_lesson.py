"""Training films resumes to the step, learns what there is to learn, and keeps the best of it."""

import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from leakscan.errors import LeakscanError
from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.lesson import FILM_METRICS, FilmLesson
from leakscan.training.films.pack import Pack
from leakscan.training.films.validation import Validated
from leakscan.training.trainer import Stopped, Trainer, read_rows
from leakscan.types import Silent


class Tiny(nn.Module):
    """Has what matters to the loop: convolution, batch norm, a head."""

    def __init__(self, dim):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 32, 4, 4), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        )
        self.head = nn.Linear(512, dim)

    def forward(self, x):
        return self.head(self.trunk(x))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "tiny", Tiny)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _people(seed, n, films=3):
    rng = np.random.default_rng(seed)
    people = rng.integers(0, 255, (n, 8, 8))
    drawn = [np.kron(p, np.ones((4, 4))) + rng.normal(0, 6, (32, 32)) for p in people for _ in range(films)]
    subjects = np.repeat([f"s{i:02d}" for i in range(n)], films)
    shown = np.clip(drawn, 0, 255).astype(np.uint8)
    return Pack(films=shown, subjects=subjects, widths=np.zeros(n * films, np.int64))


@pytest.fixture(scope="module")
def packs():
    return _people(0, 12), _people(1, 4)


def _config(**more):
    small = {"architecture": "tiny", "precision": "float32", "side": 32, "pairs": 6, "evaluate_every": 2}
    return TrainConfig(**{**small, "augmentation": "affine", "learning_rate": 1e-3, **more})


def train(config, pack, validation, folder, **watched):
    lesson = FilmLesson(config, pack, validation)
    Trainer(lesson, folder, **watched).run()
    return lesson.average


@pytest.mark.parametrize(
    "settings",
    [{"steps": 4}, {"steps": 4, "chunk": 5, "memory": 24, "films_per_subject": 2, "ema": 0.0}],
    ids=["plain", "two passes and memory"],
)
def test_a_run_that_was_interrupted_ends_with_the_same_weights(packs, tmp_path, settings):
    """The reference is never interrupted; the other is stopped by Ctrl-C in the middle of an interval."""
    config = _config(**settings)
    folders = [tmp_path / "whole", tmp_path / "broken"]
    for folder in folders:
        folder.mkdir()
    whole = train(config, *packs, folders[0])

    class CtrlC(Silent):
        def note(self, text):
            if text.startswith("step 1 "):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match="after step 1 of 4") as stopped:
        train(config, *packs, folders[1], progress=CtrlC())
    assert stopped.value.exit_code == 130
    resumed = train(config, *packs, folders[1])
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-6)
    columns = ("step", "loss", "val_auc", "best")
    one, other = ([[row[c] for c in columns] for row in read_rows(f, FILM_METRICS, 4)] for f in folders)
    assert one == other


def test_a_finished_run_does_nothing_again_and_a_lengthened_one_goes_on(packs, tmp_path):
    train(_config(steps=2), *packs, tmp_path)
    rows = []
    train(_config(steps=2), *packs, tmp_path, report=rows.append)
    assert rows == []
    train(_config(steps=3), *packs, tmp_path, report=rows.append)
    assert [row["step"] for row in rows] == [3]


def test_it_learns_to_tell_subjects_apart(packs, tmp_path):
    """Of 12 subjects it has seen; from chance it starts below."""
    rows = []
    config = _config(steps=30, evaluate_every=15, chunk=7, ema=0.5, learning_rate=2e-3)
    train(config, packs[0], packs[0], tmp_path, report=rows.append)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[-1]["val_auc"] > 0.95


def test_the_weights_of_the_best_validation_are_kept(packs, tmp_path, monkeypatch):
    """By the true accept rate; a later equal one is no better."""
    tars = iter([0.3, 0.7, 0.5, 0.7])
    monkeypatch.setattr(
        "leakscan.training.films.lesson.validate",
        lambda *a, **k: Validated(
            auc=0.9, fmr=1e-2, tar=next(tars), tar_1e3=None, precision_at_1=0.5, one_shot=None
        ),
    )
    states = {}

    def keep(row):
        states[row["step"]] = load_file(tmp_path / "last.safetensors")

    train(_config(steps=4, evaluate_every=1), *packs, tmp_path, report=keep)
    best = load_file(tmp_path / "best.safetensors")
    assert [row["best"] for row in read_rows(tmp_path, FILM_METRICS, 4)] == [True, True, False, False]
    assert all(torch.equal(best[k], states[2][k]) for k in best)
    assert any(not torch.equal(best[k], states[4][k]) for k in best)


def test_a_small_validation_set_speaks_of_the_rate_it_supports(packs, tmp_path):
    rows = []
    train(_config(steps=1), packs[0], packs[0], tmp_path, report=rows.append)
    assert rows[0]["val_fmr"] == 0.1 and 0 <= rows[0]["val_tar"] <= 1  # 594 impostor pairs
    (tmp_path / "tiny").mkdir()
    train(_config(steps=1), packs[0], _people(1, 2, 2), tmp_path / "tiny", report=rows.append)
    assert rows[1]["val_fmr"] is None and rows[1]["val_tar"] is None and rows[1]["best"]


def test_a_loss_that_is_no_number_ends_the_run_in_words(packs, tmp_path):
    with pytest.raises(LeakscanError, match="not a finite number"):
        train(_config(steps=9, learning_rate=1e30, clip=0, softmax=0, hard=0), *packs, tmp_path)


def test_no_pickle_is_needed_to_read_a_checkpoint(packs, tmp_path):
    train(_config(steps=1, memory=24), *packs, tmp_path)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 1
