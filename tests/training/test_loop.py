"""Training resumes to the step and learns what there is to learn."""

import numpy as np
import pytest
import torch

from leakscan.training.loop import TrainConfig, learning_rate_at, train
from leakscan.training.pack import Pack


@pytest.fixture(scope="module")
def pack():
    rng = np.random.default_rng(0)
    people = rng.integers(0, 255, (12, 8, 8))
    films = [np.kron(p, np.ones((4, 4))) + rng.normal(0, 6, (32, 32)) for p in people for _ in range(3)]
    subjects = np.repeat([f"s{i}" for i in range(12)], 3)
    return Pack(np.clip(films, 0, 255).astype(np.uint8), subjects, np.zeros(36, np.int64))


# A small validation set cannot support the false match rates of a real one.
@pytest.fixture(autouse=True)
def short_validation(monkeypatch):
    monkeypatch.setattr("leakscan.training.loop.validate", lambda net, pack, side: {"auc": 0.5})


CONFIG = {"architecture": "resnet18", "side": 32, "pairs": 6, "evaluate_every": 2, "learning_rate": 1e-3}


def test_a_run_that_was_interrupted_ends_with_the_same_weights(pack, tmp_path):
    whole = train(TrainConfig(**CONFIG, steps=4), pack, pack, tmp_path / "whole")

    class Interrupted(Exception):
        pass

    def stop(row):
        if row["step"] == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(TrainConfig(**CONFIG, steps=4), pack, pack, tmp_path / "broken", report=stop)
    resumed = train(TrainConfig(**CONFIG, steps=4), pack, pack, tmp_path / "broken")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_finished_run_does_nothing_again(pack, tmp_path):
    train(TrainConfig(**CONFIG, steps=2), pack, pack, tmp_path)
    rows = []
    train(TrainConfig(**CONFIG, steps=2), pack, pack, tmp_path, report=rows.append)
    assert rows == []


def test_learning_rate_warms_up_and_ends_at_zero():
    config = TrainConfig(steps=100, learning_rate=1.0)
    rates = [learning_rate_at(step, config) for step in range(101)]
    assert rates[0] < rates[4] == max(rates) == 1.0 and rates[100] == pytest.approx(0, abs=1e-9)
