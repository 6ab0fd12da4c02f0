"""The bench of volumes plants what it says, in files that are read back as the same picture."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from leakscan import Settings, compare
from leakscan.errors import UsageError
from leakscan.evaluation.measured_run import MeasuredRun
from leakscan.research import volume_bench as bench
from leakscan.research.volume_bench import KINDS, plant_volumes
from leakscan.run.models import Models
from leakscan.synthetic.heads import draw_brain


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn heads of as many people as one copy of every kind needs, and of two to stand on one side each."""
    folder = tmp_path_factory.mktemp("heads")
    for i in range(len(KINDS) + 2):
        head = draw_brain(np.random.default_rng([8, i]), spacing_mm=4.0).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(head, np.diag([4.0, 4.0, 4.0, 1.0])), folder / f"{i}.nii.gz")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [list(KINDS)[:4], list(KINDS)[4:]])
def test_one_copy_of_every_kind_is_found_and_no_stranger(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: list[str]
) -> None:
    """Without an encoder: hashes alone must propose them, however turned."""

    def run(sources: list[Path], run_dir: Path, cache: Path) -> MeasuredRun:
        settings = Settings.of(kind="other_3d", cache=cache, workers=0)
        return MeasuredRun(1.0, 1.0, 1.0, compare(*sources, output=run_dir, settings=settings).summary)

    monkeypatch.setattr(bench, "run_compare", run)
    monkeypatch.setattr(bench, "KINDS", {kind: KINDS[kind] for kind in kinds})
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    work = tmp_path / "bench"
    found = plant_volumes([str(heads)], work, len(kinds) + 1, 1, seed=0)
    assert found["volumes"] == [len(kinds) + 1, len(kinds) + 1]
    assert found["found"] == dict.fromkeys(kinds, "1 of 1")
    assert found["false_copies"] == []
    assert any((work / "B").glob("*/0000.dcm")) == ("DICOM series" in kinds)


def test_too_few_volumes_are_named(heads: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="10 are there"):
        plant_volumes([str(heads)], tmp_path / "bench", 50, 1, seed=0)
