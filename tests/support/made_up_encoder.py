"""An encoder that exists only as a card and a calibration: strangers are random directions."""

from __future__ import annotations

import functools

import numpy as np

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.fit import fit_calibration
from leakscan.fingerprint.encoders.card import Card, ImpostorScores
from support.makers import unit_vectors

ENCODER = "made-up@1"
IMPOSTORS = ImpostorScores(
    source="made up",
    n_images=9,
    n_subjects=9,
    n_pairs=10**9,
    fmr=(1.0, 1e-3, 1e-6, 1e-9),
    score=(0.0, 0.3, 0.6, 0.9),
)
CARD = Card(
    name="made-up",
    kind="chest_radiograph",
    architecture="none",
    dim=128,
    preprocessing="radiograph-1",
    side=128,
    weights="weights.safetensors",
    digest="1",
    gate_threshold=0.0,
    golden=(),
    impostors=IMPOSTORS,
)


@functools.cache
def calibration(subjects: int = 800) -> Calibration:
    """Fitted on strangers; everybody has two pictures 14 degrees apart."""
    centres = unit_vectors(5, subjects)
    near = centres + 0.25 * unit_vectors(6, subjects)
    prints = np.concatenate([centres, near / np.linalg.norm(near, axis=1, keepdims=True)])
    names = np.array([f"s{i}" for i in range(subjects)] * 2)
    cohort = unit_vectors(7, 300).astype(np.float16)
    return fit_calibration(ENCODER, "random directions", cohort, 200, prints, names)


def made_up() -> tuple[dict[str, Card], dict[str, Calibration]]:
    """Cards and calibrations as ``compare_datasets`` takes them."""
    return {ENCODER: CARD}, {ENCODER: calibration()}
