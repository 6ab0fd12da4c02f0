"""What the shipped brain encoder promises of real heads (a sample; ``brain_check`` measures them all)."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from leakscan.fingerprint.encoders.load import load_encoder
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from support.makers import DATA

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"The real images are not at {DATA}; set LEAKSCAN_DATA."),
]


@pytest.mark.slow
def test_a_head_back_to_front_or_upside_down_has_the_fingerprint_of_one_that_is_not() -> None:
    entry = card_for("brain_mri")
    assert entry is not None
    encoder = load_encoder(*entry)
    path = min((DATA / "mri/ds002748").rglob("*.nii*"))
    image = nibabel.as_closest_canonical(nibabel.load(path))
    values = np.asarray(image.dataobj, np.float32)
    grey = canonical_volume(values, image.header.get_zooms()[:3], SHAPE, STEP_MM)
    head = np.rint(grey * 255).astype(np.uint8)
    turned = np.stack([head, head[:, ::-1], head[:, :, ::-1], head[:, ::-1, ::-1]])
    first, *others = encoder.encode(turned).fingerprints
    assert all(first @ other > 0.99 for other in others)
