"""Ideas are measured one by one against the same base, on subjects that no run learns from."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leakscan.engines.local import LocalEngine
from leakscan.error_rates import n_way_one_shot
from leakscan.errors import SourceError, UsageError
from leakscan.research.ablation import IDEAS, ablate, run_of
from leakscan.synthetic.films import draw_film
from leakscan.training.films.config import TrainConfig, preset
from leakscan.training.films.start import IMAGENET
from leakscan.training.settings import changed
from leakscan.types import Silent
from support.makers import save

TINY = changed(
    preset("fingerprint-2d"),
    {"side": 48, "pairs": 3, "steps": 1, "evaluate_every": 1, "precision": "float32", "ema": 0},
)


@pytest.fixture(scope="module", autouse=True)
def made_quick() -> Iterator[None]:
    """Starts no processes for a few dozen small films, and draws few of the episodes of a figure."""
    few = partial(n_way_one_shot, episodes=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leakscan.training.films.pack.start_engine", lambda _: LocalEngine(workers=0))
        patch.setattr("leakscan.training.films.validation.n_way_one_shot", few)
        patch.setattr("leakscan.research.ablation.n_way_one_shot", few)
        yield


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of each of 28 drawn people, 24 of them in ``val``."""
    folder = tmp_path_factory.mktemp("films")
    rows = [("path", "subject_id", "split")]
    for person in range(28):
        film = cv2.resize(draw_film(np.random.default_rng([6, person]), height=96), (72, 72))
        for visit in range(2):
            save(folder / f"{person}-{visit}.png", np.ascontiguousarray(film[4 * visit :, :]))
            rows.append((f"{person}-{visit}.png", f"p{person}", "train" if person < 4 else "val"))
    for name, kept in (("films.csv", rows), ("few.csv", rows[:17])):
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(kept)
    return folder


@pytest.fixture(scope="module")
def base_run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder and the table of the base alone, trained with one seed."""
    runs = tmp_path_factory.mktemp("base")
    return runs, _table(films, runs, seeds=1)


def _table(
    films: Path, runs: Path, *ideas: str, base: TrainConfig = TINY, seeds: int = 2
) -> list[dict[str, Any]]:
    return ablate([films / "films.csv"], runs, base, ideas, seeds, Silent())


def _weights(runs: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in runs.rglob("last.safetensors")}


@pytest.mark.slow
def test_an_idea_is_measured_beside_the_mean_of_the_base_and_not_trained_twice(
    films: Path, tmp_path: Path, base_run: tuple[Path, list[dict[str, Any]]]
) -> None:
    shutil.copytree(base_run[0], tmp_path, dirs_exist_ok=True)
    trained = _weights(tmp_path)
    rows = _table(films, tmp_path, "no triplet term")
    assert len(trained) == 1
    assert trained.items() < _weights(tmp_path).items()
    mean, first, second, idea = rows
    assert [row["run"] for row in rows] == [
        "base, mean of 2",
        "base, seed 0",
        "base, seed 1",
        "no triplet term",
    ]
    assert mean["p_at_1_gain"] == mean["tar_gain"] == [0, 0, 0]
    for figure in ("auc", "20_way_1_shot", "tar", "p_at_1"):
        assert mean[figure] == pytest.approx((first[figure] + second[figure]) / 2, abs=2e-3)
    for row in (first, second, idea):
        for figure in ("tar", "p_at_1"):
            gain, low, high = row[f"{figure}_gain"]
            assert low <= gain <= high
            assert gain == pytest.approx(row[figure] - mean[figure], abs=2e-3)
    saved = _weights(tmp_path)
    assert len(saved) == 3
    assert _table(films, tmp_path, "no triplet term") == rows
    assert _weights(tmp_path) == saved


@pytest.mark.slow
def test_runs_of_another_length_are_other_runs(
    films: Path, tmp_path: Path, base_run: tuple[Path, list[dict[str, Any]]]
) -> None:
    alone, expected = base_run
    shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
    longer = changed(TINY, {"steps": 2, "evaluate_every": 2})
    assert _table(films, tmp_path, base=longer, seeds=1) != expected
    assert _table(films, tmp_path, seeds=1) == expected
    assert len(_weights(tmp_path)) == 2


@pytest.mark.parametrize("idea", IDEAS)
def test_every_idea_differs_from_the_base_and_can_be_run(idea: str) -> None:
    base = changed(preset("fingerprint-2d"), {"ema": 0})
    start, config = run_of(base, IDEAS[idea])
    assert (start, config) != (IMAGENET, base)
    assert config.films <= base.films


def test_what_cannot_be_measured_is_refused_before_training(films: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no idea 'more luck'"):
        _table(films, tmp_path, "more luck")
    with pytest.raises(UsageError, match="one seed at least"):
        _table(films, tmp_path, seeds=0)
    with pytest.raises(SourceError, match="make 24 pairs of 1000 needed"):
        ablate([films / "few.csv"], tmp_path, TINY, [], 1, Silent())
    assert not _weights(tmp_path)
