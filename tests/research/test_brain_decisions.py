"""Brains decide: people who were scanned in another contrast are leaks, and nobody else is (all real)."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.research.brain_decisions import shared_people, two_collections
from support.makers import DATA

no_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"The real images are not at {DATA}; set LEAKSCAN_DATA."
)


def test_the_shipped_calibration_of_brains_decides_as_far_down_as_seven_of_67_people_need() -> None:
    entry = card_for("brain_mri")
    assert entry is not None
    card, folder = entry
    calibration = read_calibration(folder / FILE, [card.encoder])
    assert calibration.decides
    assert calibration.one_collection
    assert calibration.tail.n_subjects > 100
    # A leak among 67 x 67 people, seven of them shared, at one false one in a hundred.
    assert calibration.tail.least <= 0.01 * 7 / 67**2
    # Strangers of one collection reach 0.22; what is called is far beyond.
    assert calibration.tail.p_value([0.22])[0] > 1e-4


@no_data
@pytest.mark.real
@pytest.mark.slow
def test_people_with_another_contrast_on_the_other_side_are_leaks(tmp_path: Path) -> None:
    found = shared_people(DATA, tmp_path, seed=0)
    assert found["called"] >= 6  # of 7 people, 12 of 14 volumes
    assert found["called_falsely"] == 0
    assert found["exit_code"] == 1


@no_data
@pytest.mark.real
@pytest.mark.slow
def test_two_collections_that_share_nobody_have_no_leak(tmp_path: Path) -> None:
    found = two_collections(DATA, tmp_path)
    assert found["called"] + found["called_falsely"] == 0
    assert found["exit_code"] in (0, 3)
