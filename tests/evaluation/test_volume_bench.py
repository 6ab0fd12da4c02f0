"""The bench of volumes plants what it says, in files that are read back as the same picture."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from made_up_brain import make_model

from leakscan.errors import UsageError
from leakscan.evaluation.drawing_brain import draw_brain
from leakscan.evaluation.volume_bench import KINDS, volume_bench


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn heads of as many people as one copy of every kind needs, and two more."""
    folder = tmp_path_factory.mktemp("heads")
    for i in range(len(KINDS) + 2):
        head = draw_brain(np.random.default_rng([8, i]), spacing_mm=4.0).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(head, np.diag([4.0, 4.0, 4.0, 1.0])), folder / f"{i}.nii.gz")
    return folder


def test_one_copy_of_every_kind_is_found_and_no_stranger(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn heads are no brains to the encoder here: hashes alone must propose them, however turned."""
    model = make_model(tmp_path / "own" / "brain-lumps")
    card = json.loads((model / "card.json").read_text())
    (model / "card.json").write_text(json.dumps({**card, "gate_threshold": 2.0}))
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path / "own"))
    work = tmp_path / "bench"
    found = volume_bench([str(heads)], work, len(KINDS) + 1, 1, seed=0)
    assert found["volumes"] == [len(KINDS) + 1, len(KINDS) + 1]
    assert found["found"] == dict.fromkeys(KINDS, "1 of 1")
    assert found["false_copies"] == []
    assert any((work / "B").glob("*/0000.dcm"))


def test_too_few_volumes_are_named(heads: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="10 are there"):
        volume_bench([str(heads)], tmp_path / "bench", 50, 1, seed=0)
