"""From a trained network to a model folder: weights, gate, calibration, measured figures, card.

The figures come from the encoder as users run it (stored fingerprints, rounded to float16), on
subjects it was never trained on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import nn

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import write_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.fingerprint.encoders.card import Card, weights_digest, write_card
from leakscan.fingerprint.encoders.encoder import Encoder, GraphEncoder
from leakscan.fingerprint.encoders.film.detail_matcher import FILE as DETAIL_FILE
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM, gate_features
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess import radiograph
from leakscan.training.films.pack import Pack
from leakscan.training.shipping.figures import encode_pack, figures
from leakscan.training.shipping.gate import GateFilms
from leakscan.training.shipping.model_folder import NO_IMPOSTORS, golden_of, impostor_curve
from leakscan.training.shipping.packed_details import PackMatches

_BATCH = 64


@dataclass(frozen=True)
class Trained:
    """A network that was trained, and what it is.

    Attributes:
        net: The network, with averaged weights.
        architecture: Its kind, a key of ``ARCHITECTURES``.
        side: The side of the canonical array that it sees, in pixels.
        training: What the card says of the training.
    """

    net: nn.Module
    architecture: str
    side: int
    training: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ShippingFilms:
    """The films that an encoder is made with, beside its network.

    Attributes:
        gate: What the gate learns from.
        validation: Films that the calibration is fitted on as well.
        calibration: Films whose impostor scores go into card and calibration.
        tests: Films to report on, by name.
        source: Whose calibration films they are, in words.
        matches: Detail matching to ship along; without it there is none.
    """

    gate: GateFilms
    validation: Pack
    calibration: Pack
    tests: Mapping[str, Pack]
    source: str
    matches: PackMatches | None = None


def ship(trained: Trained, films: ShippingFilms, folder: Path) -> Card:
    """Writes a model folder and returns its card.

    Args:
        trained: The network.
        films: What gate, calibration and figures come from.
        folder: The folder to write, which names the encoder.

    Example::

        ship(Trained(net, "efficientnet_lite0", 192, {}), films, Path("models/mine")).encoder
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half() if v.is_floating_point() else v for k, v in trained.net.state_dict().items()}
    raw = save(state)
    gate, threshold = films.gate.fitted(partial(_features, trained))
    (folder / "weights.safetensors").write_bytes(raw)
    inputs = golden_inputs(trained.side)
    card = Card(
        name=folder.name,
        kind="chest_radiograph",
        architecture=trained.architecture,
        dim=FINGERPRINT_DIM,
        preprocessing=radiograph.VERSION,
        side=trained.side,
        weights="weights.safetensors",
        digest=weights_digest(raw, radiograph.VERSION, trained.side),
        gate=gate,
        gate_threshold=threshold,
        golden=(),
        impostors=NO_IMPOSTORS,
    )
    card = replace(card, golden=golden_of(inputs, _golden_fingerprints(folder, card, inputs)))
    encoder = GraphEncoder(card, folder)
    matches = films.matches
    if matches is not None and matches.matcher.path.resolve() != (folder / DETAIL_FILE).resolve():
        shutil.copyfile(matches.matcher.path, folder / DETAIL_FILE)
    fitted = shipped_calibration(encoder, films.source, films.calibration, films.validation, matches)
    write_calibration(fitted, folder / CALIBRATION_FILE)
    prints = encode_pack(encoder, films.calibration.films)[0]
    card = replace(
        card,
        impostors=impostor_curve(prints, films.calibration.subjects, films.source),
        measured={
            "training": dict(trained.training),
            **{test: _measured(encoder, pack) for test, pack in films.tests.items()},
        },
    )
    write_card(card, folder)
    return card


def golden_inputs(side: int) -> npt.NDArray[np.uint8]:
    """Two drawn chest-like pictures ``(2, side, side)`` that no person is behind.

    Example:
        >>> golden_inputs(64).shape
        (2, 64, 64)
        >>> bool((golden_inputs(64) == golden_inputs(64)).all())  # the same everywhere, always
        True
    """
    y, x = np.mgrid[0:side, 0:side] / side
    out = []
    for tilt, ribs in ((0.0, 9.0), (0.12, 12.0)):
        lungs = sum(np.exp(-(((x - c) / 0.13) ** 2 + ((y - 0.45) / 0.28) ** 2)) for c in (0.28, 0.72))
        body = np.exp(-(((x - 0.5) / 0.45) ** 4))
        bones = 0.12 * np.sin(2 * np.pi * ribs * (y + tilt * x + 0.3 * (x - 0.5) ** 2))
        film = body * (0.75 + bones) - 0.5 * lungs
        out.append(np.clip(film * 255, 0, 255).astype(np.uint8))
    return np.stack(out)


def shipped_calibration(
    encoder: Encoder,
    source: str,
    calibration: Pack,
    validation: Pack,
    matches: PackMatches | None = None,
) -> Calibration:
    """Tails of the calibration and val subjects together, on plain cosine similarities.

    Nobody was trained on either, and the more people strangers are known of, the further p-values reach. Val
    chose between weights, so that it is not quite as new to them. On these subjects, scores normalised
    against a cohort of training subjects were no better beyond the noise of drawing the cohort
    (``leakscan.research.tail_check``), and a file without a cohort holds nobody's fingerprint.

    Args:
        encoder: The encoder, as users run it.
        source: Whose films they are, in words.
        calibration: Films of subjects that nothing was chosen by.
        validation: Films of further subjects of the same dataset.
        matches: Detail matching of both; the calibration has none without it.

    Example::

        fitted = shipped_calibration(encoder, "Our films", calibration, validation)
        print(fitted.tail.n_subjects, fitted.tail.floor)
    """
    fitted = fit_calibration(
        encoder.card.encoder,
        f"{source}; val split",
        Cohort(np.zeros((0, encoder.card.dim), np.float16), 0),
        LabelledPrints(
            np.concatenate([encode_pack(encoder, pack.films)[0] for pack in (calibration, validation)]),
            np.concatenate([calibration.subjects, validation.subjects]),
            None if matches is None else matches.match,
        ),
    )
    if matches is None or not fitted.matches_details:
        return fitted
    return replace(fitted, detail_digest=matches.matcher.digest)


def _measured(encoder: Encoder, pack: Pack) -> dict[str, Any]:
    prints, accepted = encode_pack(encoder, pack.films)
    return {**figures(prints, pack.subjects), "kept_by_gate": round(float(accepted.mean()), 4)}


@torch.inference_mode()
def _features(trained: Trained, films: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    net = trained.net.eval()
    out = []
    for start in range(0, len(films), _BATCH):
        x = torch.from_numpy(films[start : start + _BATCH])[:, None].float() / 255.0
        x = x.contiguous(memory_format=torch.channels_last)
        with low_precision(torch.device("cpu")):
            features = net.features(x)  # type: ignore[operator]
        out.append(features.float())
    return gate_features(trained.architecture, torch.cat(out).numpy())


def _golden_fingerprints(folder: Path, card: Card, inputs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Fingerprints of the golden inputs in float32, the reference for every machine."""
    state = load((folder / card.weights).read_bytes())
    net = ARCHITECTURES[card.architecture](card.dim).eval()
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    with torch.inference_mode():
        out = net(torch.from_numpy(inputs)[:, None].float() / 255.0)
    return nn.functional.normalize(out).numpy()
