"""The same images give the same answer: whatever machine, order, number of workers or runtime computes it.

That A and B may change places is promised in ``tests/decide/test_simulated_runs.py``, and that a fingerprint
hangs neither on the batch nor on the threads of ONNX Runtime in ``tests/fingerprint/encoders/test_graph.py``.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from leakscan import compare
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.rounding import STEP
from leakscan.fingerprint import row_maker
from leakscan.fingerprint.encoders import load
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from support.made_up_encoder import ENCODER, MadeUpModels, made_up_context
from support.makers import Picture
from support.simulated_people import alike, dataset, people
from support.simulated_people import films as films_of

RUNTIMES_APART = 1e-5
"""The largest cosine distance between fingerprints of one film by ONNX Runtime and by torch."""

Decided = dict[tuple[str, str], tuple[str, str]]


def decided(result: Result) -> Decided:
    """Relation and decision of every pair that was written."""
    return {
        (row["path_a"], row["path_b"]): (row["relation"], row["decision"]) for row in result.pairs.to_pylist()
    }


def as_elsewhere(prints: npt.NDArray[Any], seed: int) -> npt.NDArray[Any]:
    """Fingerprints as another processor makes them: one number in fifty is off by its last bit."""
    stored, draw = prints.astype(np.float16), np.random.default_rng(seed)
    towards = np.where(draw.random(stored.shape) < 0.5, np.inf, -np.inf).astype(np.float16)
    off = draw.random(stored.shape) < 0.02
    return np.where(off, np.nextafter(stored, towards), stored).astype(np.float64)


@functools.cache
def plain() -> MadeUpModels:
    """A calibration of plain cosines, as the shipped ones are."""
    known, names = people(1, 800), np.array([f"person {i}" for i in range(800)] * 2)
    prints = np.concatenate([films_of(2, known), films_of(3, known)])
    cohort = Cohort(np.zeros((0, 128), np.float16), 0)
    return MadeUpModels(fit_calibration(ENCODER, "plain", cohort, LabelledPrints(prints, names)))


def run(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Result:
    return decide_and_report([dataset("a", a), dataset("b", b)], made_up_context(plain()), None)


def two_sides(seed: int, shared: int, others: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Some people in both, from hardly more alike than strangers to clearly one."""
    ones, cosine = people(seed, shared), np.linspace(0.3, 0.65, shared)[:, None]
    return (
        np.concatenate([ones, people(seed + 2, others)]),
        np.concatenate([alike(seed + 3, ones, cosine), people(seed + 4, others)]),
    )


@pytest.mark.parametrize(("others", "decision"), [(275, "leak"), (100, "review")])
def test_the_last_bits_of_another_processor_decide_nothing(others: int, decision: str) -> None:
    a, b = two_sides(100, shared=25, others=others)
    here, there = run(a, b), run(as_elsewhere(a, 1), as_elsewhere(b, 2))
    assert decided(here) == decided(there)
    assert {said for _, said in decided(here).values()} == {decision}
    assert len(decided(here)) > 10
    assert here.exit_code == there.exit_code


def test_pairs_that_are_equally_good_come_out_equal() -> None:
    """Twenty pairs of strangers with one cosine, which half precision gives in as many last digits."""
    ones = people(1, 20)
    cosine = round(0.45 / STEP) * STEP
    a = np.concatenate([ones, people(2, 280)])
    b = np.concatenate([alike(3, ones, cosine), people(4, 280)])
    rows = run(a, b).pairs.to_pylist()
    tied = [row for row in rows if row["path_a"][1:] == row["path_b"][1:] and int(row["path_a"][1:]) < 20]
    assert len(tied) == 20
    assert len({row["distance"] for row in tied}) > 1  # the cosines themselves do differ
    for column in ("p_value", "q_value", "probability", "decision"):
        assert len({row[column] for row in tied}) == 1, column


def test_the_order_of_the_files_decides_nothing() -> None:
    """More people than a sample holds, so that who is drawn must not hang on where a file stands."""
    a, b = two_sides(300, shared=40, others=760)
    draw = np.random.default_rng(5)
    first = run(a, b)
    shuffled = []
    for name, prints in (("a", a), ("b", b)):
        made, order = dataset(name, prints), draw.permutation(len(prints))
        shuffled.append(type(made)(name, made.rows.take(order), {}, {}, made.key_id))
    second = decide_and_report(shuffled, made_up_context(plain()), None)
    rows = [
        sorted(result.pairs.to_pylist(), key=lambda row: (row["path_a"], row["path_b"]))
        for result in (first, second)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) > 15


@pytest.fixture
def two_wards(tmp_path: Path, films: list[Picture]) -> tuple[Path, Path]:
    """Six drawn films, three of which stand on both sides: as they are, darker, and cut."""
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
    for i, film in enumerate(films[:5]):
        Image.fromarray(film).save(a / f"{i}.png")
    Image.fromarray(films[0]).save(b / "same.png")
    Image.fromarray((films[1] * 0.8).astype(np.uint8)).save(b / "darker.png")
    Image.fromarray(films[2][10:-12, 8:-9]).save(b / "cut.png")
    Image.fromarray(films[5]).save(b / "other.png")
    return a, b


def of(wards: tuple[Path, Path], cache: Path, **choices: Any) -> Result:
    return compare(*wards, cache=cache, key=cache.parent / "key", kind="chest_radiograph", **choices)


def test_workers_torch_and_batches_decide_nothing(
    two_wards: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = of(two_wards, tmp_path / "alone", workers=0)
    several = of(two_wards, tmp_path / "several", workers=2)
    for table in ("images", "fingerprints", "pairs", "subjects"):
        assert getattr(alone, table).equals(getattr(several, table)), table
    assert sum(decision == "leak" for _, decision in decided(alone).values()) == 3
    # As where there is a GPU: torch encodes, many films at a time, or as few as one wants.
    for module in (load, row_maker):
        monkeypatch.setattr(module, "runs_in_workers", lambda card, folder: False)
    monkeypatch.setattr(load, "_here", {})
    by_torch = of(two_wards, tmp_path / "torch", workers=0)
    monkeypatch.setattr(row_maker, "has_gpu", lambda: True)
    monkeypatch.setattr(row_maker, "_GPU_BATCH", 3)
    in_batches = of(two_wards, tmp_path / "batches", workers=0)
    for other in (by_torch, in_batches):
        assert decided(other) == decided(alone)
        assert other.exit_code == alone.exit_code
        one, two = (np.array(r.fingerprints["fingerprint"].to_pylist(), np.float64) for r in (alone, other))
        cosine = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        assert (1.0 - cosine).max() < RUNTIMES_APART
