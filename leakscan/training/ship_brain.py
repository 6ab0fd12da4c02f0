"""From a trained brain network to an encoder: a model folder with card, gate and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load

from leakscan.decide.calibration import FILE as CALIBRATION_FILE
from leakscan.decide.calibration import write_calibration
from leakscan.decide.fit import fit_calibration
from leakscan.evaluation.drawing_brain import draw_brain
from leakscan.fingerprint.encoders.brain_encoder import ARCHITECTURE, BrainEncoder, brain_net
from leakscan.fingerprint.encoders.brain_net import BrainNet
from leakscan.fingerprint.encoders.card import Card, ImpostorScores, weights_digest, write_card
from leakscan.fingerprint.encoders.encoder import Encoded
from leakscan.fingerprint.preprocess import volume
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.training.brain import save
from leakscan.training.ship import golden_of, impostor_curve

_KEPT = 0.01  # share of the calibration volumes that the gate may refuse
_DRAWN_MM = 3.0
_GREYS = 16  # of golden volumes: a card is text, and smooth pictures of few greys pack well


def ship_brain(
    net: BrainNet,
    name: str,
    folder: Path,
    seen: Encoded,
    subjects: npt.NDArray[np.str_],
    source: str,
    measured: Mapping[str, Any],
) -> Card:
    """Writes a model folder and returns its card.

    There are too few people for a score to decide, so the calibration says that it does not.

    Args:
        net: trained, with its metric.
        name: of the encoder.
        folder: to write into.
        seen: what the network says of ``n`` volumes of people it was not trained on.
        subjects: ``(n,)``.
        source: whose volumes, in words.
        measured: figures for people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save(net, folder / "weights.safetensors", {})
    raw = (folder / "weights.safetensors").read_bytes()
    inputs = golden_volumes()
    with torch.inference_mode():
        halved = brain_net(load(raw))
        prints = halved(torch.from_numpy(inputs)[:, None].float() / 255.0).numpy()
    card = Card(
        name=name,
        kind="brain_mri",
        architecture=ARCHITECTURE,
        dim=len(net.axes) + net.folds,
        preprocessing=volume.VERSION,
        side=SHAPE[0],
        weights="weights.safetensors",
        digest=weights_digest(raw, volume.VERSION, SHAPE[0]),
        gate_threshold=-1.0,
        golden=golden_of(inputs.reshape(len(inputs), -1, SHAPE[2]), prints),
        impostors=ImpostorScores("", 0, 0, 0, (), ()),
    )
    card = replace(
        card,
        gate_threshold=round(float(np.quantile(seen.quality, _KEPT)), 4),
        impostors=impostor_curve(seen.fingerprints, subjects, source),
        measured=dict(measured),
    )
    nobody = np.zeros((0, card.dim), np.float16)
    fitted = fit_calibration(card.encoder, source, nobody, 0, seen.fingerprints, subjects)
    write_calibration(replace(fitted, decides=False), folder / CALIBRATION_FILE)
    write_card(card, folder)
    BrainEncoder(card, folder)  # refuses what does not reproduce its card
    return card


def golden_volumes() -> npt.NDArray[np.uint8]:
    """Two drawn heads ``(2, *SHAPE)`` that no person is behind."""
    out = []
    for seed in (0, 1):
        head = draw_brain(np.random.default_rng(seed), spacing_mm=_DRAWN_MM).astype(np.float32)
        canonical = canonical_volume(head, (_DRAWN_MM,) * 3, SHAPE, STEP_MM)
        out.append(np.rint(canonical * (_GREYS - 1)) * (255 // (_GREYS - 1)))
    return np.stack(out).astype(np.uint8)
