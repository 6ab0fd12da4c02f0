"""An encoder that exists only as a card and a calibration: strangers are random directions."""

from __future__ import annotations

import functools

import numpy as np

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.fit import fit_calibration
from leakscan.fingerprint.encoders.card import Card, ImpostorScores
from support.makers import unit_vectors

ENCODER = "made-up@1"
IMPOSTORS = ImpostorScores("made up", 9, 9, 10**9, (1.0, 1e-3, 1e-6, 1e-9), (0.0, 0.3, 0.6, 0.9))
CARD = Card(
    "made-up",
    "chest_radiograph",
    "none",
    128,
    "radiograph-1",
    128,
    "weights.safetensors",
    "1",
    0.0,
    (),
    IMPOSTORS,
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
