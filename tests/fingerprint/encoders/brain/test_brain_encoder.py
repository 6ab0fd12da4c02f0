"""An encoder of volumes: what its card promises, what it refuses, and what a run makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.card import read_card
from leakscan.training.shipping.ship_brain import golden_volumes
from support.made_up_brain import SUBJECTS, lump, make_model
from support.makers import Leakscan, rows_of


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "brain-lumps")


@pytest.fixture
def encoder(made: Path, as_volumes_lie: None) -> BrainEncoder:
    return BrainEncoder(read_card(made), made)


@pytest.fixture
def use(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_volumes_lie: None
) -> Callable[[float], None]:
    """Puts the encoder among the user's own, with another threshold of its gate."""

    def place(threshold: float) -> None:
        folder = tmp_path / "own" / made.name
        folder.mkdir(parents=True)
        for file in made.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        raw = json.loads((folder / "card.json").read_text())
        raw["gate_threshold"] = threshold
        (folder / "card.json").write_text(json.dumps(raw))
        monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path / "own"))

    return place


def volumes(folder: Path, seeds: list[int], **edit: Any) -> Path:
    """A folder of NIfTI volumes at 5 mm."""
    folder.mkdir(parents=True)
    for seed in seeds:
        voxels = lump(seed, (32, 36, 30))[:, :, :: edit.get("turned", 1)]
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([5.0, 5, 5, 1])), folder / f"{seed}.nii.gz")
    return folder


def test_a_card_is_reproduced_and_fingerprints_have_length_one(encoder: BrainEncoder) -> None:
    found = encoder.encode(encoder.card.golden_inputs())
    np.testing.assert_array_equal(encoder.card.golden_inputs(), golden_volumes())
    np.testing.assert_allclose(np.linalg.norm(found.fingerprints, axis=1), 1, atol=1e-5)
    assert found.fingerprints.shape == (2, encoder.card.dim)


def test_a_volume_has_one_fingerprint_in_any_batch(encoder: BrainEncoder) -> None:
    some = np.stack([lump(seed) for seed in range(3)])
    alone = np.concatenate([encoder.encode(v[None]).fingerprints for v in some])
    assert (1 - (alone * encoder.encode(some).fingerprints).sum(axis=1)).max() < 1e-3


def test_few_people_decide_nothing_by_score(made: Path) -> None:
    card = read_card(made)
    calibration = read_calibration(made / FILE, [card.encoder])
    assert not calibration.decides
    assert calibration.tail.n_subjects == SUBJECTS


def test_weights_of_another_network_are_refused(made: Path, tmp_path: Path) -> None:
    raw = json.loads((made / "card.json").read_text())
    (tmp_path / "weights.safetensors").write_bytes((made / "weights.safetensors").read_bytes() + b" ")
    (tmp_path / "card.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=r"cannot be read|digests differ"):
        BrainEncoder(read_card(tmp_path), tmp_path)


def test_volumes_are_compared_and_no_score_is_called_a_leak(
    leakscan: Leakscan, tmp_path: Path, use: Callable[[float], None]
) -> None:
    use(-1.0)
    a, b = volumes(tmp_path / "A", [1, 2, 3]), volumes(tmp_path / "B", [3, 4, 5])
    ran = leakscan("compare", a, b, "-o", tmp_path / "run", "--cache", tmp_path / "cache")
    assert ran.code == 1  # one volume is in both
    images = rows_of(tmp_path / "run", "images")
    assert {row["kind"] for row in images} == {"brain_mri"}
    prints = rows_of(tmp_path / "run", "fingerprints")
    assert len(prints) == 6
    assert all(row["encoder"].startswith("brain-lumps@") for row in prints)
    words = " ".join(json.loads((tmp_path / "run/summary.json").read_text())["comparisons"][0]["words"])
    assert "calibrated on too few people" in words
    assert {row["relation"] for row in rows_of(tmp_path / "run", "pairs")} >= {"same_file"}


def test_what_the_gate_refuses_is_no_brain_and_still_found_as_a_copy(
    leakscan: Leakscan, tmp_path: Path, use: Callable[[float], None]
) -> None:
    use(2.0)
    a, b = volumes(tmp_path / "A", [1, 2, 3]), volumes(tmp_path / "B", [3, 4])
    ran = leakscan("compare", a, b, "-o", tmp_path / "run", "--cache", tmp_path / "cache")
    assert ran.code == 1
    images = rows_of(tmp_path / "run", "images")
    assert {row["kind"] for row in images} == {"other_3d"}
    assert not [row for row in rows_of(tmp_path / "run", "fingerprints") if row["encoder"]]
    assert [row["relation"] for row in rows_of(tmp_path / "run", "pairs")] == ["same_file"]
