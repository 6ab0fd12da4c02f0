"""From a trained network to a model folder: weights, gate, calibration, measured figures, card.

The figures come from the encoder as users run it (stored fingerprints, rounded to float16), on
subjects it was never trained on.
"""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import write_calibration
from leakscan.decide.calibration.fit import fit_calibration
from leakscan.error_rates import pair_scores
from leakscan.fingerprint.encoders.card import Card, ImpostorScores, weights_digest, write_card
from leakscan.fingerprint.encoders.encoder import Encoder, TorchEncoder
from leakscan.fingerprint.encoders.film.detail_matcher import FILE as DETAIL_FILE
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess import radiograph
from leakscan.training.films.pack import Pack
from leakscan.training.shipping.figures import encode_pack, figures
from leakscan.training.shipping.gate import break_films, fit_gate
from leakscan.training.shipping.packed_details import PackMatches

_BATCH = 64
_POINTS = 73  # of the false match rate curve in the card
_PSEUDO = 2400  # broken films the gate learns from


def ship(
    net: nn.Module,
    name: str,
    architecture: str,
    side: int,
    folder: Path,
    train: Pack,
    validation: Pack,
    calibration: Pack,
    slices: npt.NDArray[np.uint8],
    tests: Mapping[str, Pack],
    training: Mapping[str, Any],
    source: str = "NIH ChestX-ray14, calibration split",
    looks: PackMatches | None = None,
) -> Card:
    """Writes a model folder and returns its card.

    Args:
        net: trained, with averaged weights.
        name: of the encoder.
        architecture: a key of ``ARCHITECTURES``.
        side: of the canonical array.
        folder: to write into.
        train: films the network was trained on, for the gate.
        validation: films that set the gate's threshold.
        calibration: films whose impostor scores go into the card.
        slices: ``(n, side, side)`` of brains, which the gate refuses.
        tests: films to report on, by name.
        training: what to say of the training, for the card.
        source: of the calibration films, in words.
        looks: the second look to ship, at calibration and validation films; without it there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    films = train.films[np.random.default_rng(0).permutation(len(train.films))]
    negatives = np.concatenate([_features(net, slices), _features(net, break_films(films[:_PSEUDO]))])
    weight, bias, threshold = fit_gate(
        _features(net, films[: 2 * _PSEUDO]), negatives, _features(net, validation.films)
    )
    state = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    raw = save({**state, "gate.weight": weight, "gate.bias": bias})
    (folder / "weights.safetensors").write_bytes(raw)
    inputs = golden_inputs(side)
    card = Card(
        name=name,
        kind="chest_radiograph",
        architecture=architecture,
        dim=128,
        preprocessing=radiograph.VERSION,
        side=side,
        weights="weights.safetensors",
        digest=weights_digest(raw, radiograph.VERSION, side),
        gate_threshold=threshold,
        golden=(),
        impostors=ImpostorScores(),
    )
    card = replace(card, golden=golden_of(inputs, _golden_fingerprints(folder, card, inputs)))
    encoder = TorchEncoder(card, folder)
    if looks is not None and looks.matcher.path.resolve() != (folder / DETAIL_FILE).resolve():
        shutil.copyfile(looks.matcher.path, folder / DETAIL_FILE)
    fitted = shipped_calibration(encoder, source, calibration, validation, looks)
    write_calibration(fitted, folder / CALIBRATION_FILE)
    card = replace(
        card,
        impostors=impostor_curve(encode_pack(encoder, calibration.films)[0], calibration.subjects, source),
        measured={
            "training": dict(training),
            **{test: _measured(encoder, pack) for test, pack in tests.items()},
        },
    )
    write_card(card, folder)
    return card


def golden_inputs(side: int) -> npt.NDArray[np.uint8]:
    """Two drawn chest-like pictures ``(2, side, side)`` that no person is behind."""
    y, x = np.mgrid[0:side, 0:side] / side
    out = []
    for tilt, ribs in ((0.0, 9.0), (0.12, 12.0)):
        lungs = sum(np.exp(-(((x - c) / 0.13) ** 2 + ((y - 0.45) / 0.28) ** 2)) for c in (0.28, 0.72))
        body = np.exp(-(((x - 0.5) / 0.45) ** 4))
        bones = 0.12 * np.sin(2 * np.pi * ribs * (y + tilt * x + 0.3 * (x - 0.5) ** 2))
        film = body * (0.75 + bones) - 0.5 * lungs
        out.append(np.clip(film * 255, 0, 255).astype(np.uint8))
    return np.stack(out)


def golden_of(pictures: npt.NDArray[np.uint8], prints: npt.NDArray[np.float32]) -> tuple[dict[str, Any], ...]:
    """What a card holds of golden inputs ``(n, rows, columns)`` and their fingerprints ``(n, dim)``."""
    return tuple(
        {"png": _png(picture), "fingerprint": [round(float(v), 6) for v in values]}
        for picture, values in zip(pictures, prints, strict=True)
    )


def impostor_curve(
    prints: npt.NDArray[np.float32], subjects: npt.NDArray[np.str_], source: str
) -> ImpostorScores:
    """The card's false match rate as a function of the cosine, from labelled fingerprints."""
    scores = pair_scores(prints, subjects).impostor
    n = len(scores)
    rates = np.geomspace(0.9, 1 / n, _POINTS)
    at = np.clip(n - np.round(rates * n).astype(int), 0, n - 1)
    values = np.maximum.accumulate(scores[at])
    return ImpostorScores(
        source=source,
        n_images=len(prints),
        n_subjects=len(np.unique(subjects)),
        n_pairs=n,
        fmr=tuple(float(f"{r:.6g}") for r in rates),
        score=tuple(round(float(v), 6) for v in values),
    )


def shipped_calibration(
    encoder: Encoder,
    source: str,
    calibration: Pack,
    validation: Pack,
    looks: PackMatches | None = None,
) -> Calibration:
    """Tails of the calibration subjects, on plain cosine similarities.

    On calibration and val subjects, scores normalised against a cohort of training subjects were no
    better beyond the noise of drawing the cohort (``leakscan.research.tail_check``), and a file
    without a cohort holds nobody's fingerprint.

    Args:
        encoder: as users run it.
        source: of the calibration films, in words.
        calibration: films whose impostors make the tails.
        validation: films for further genuine pairs.
        looks: as for :func:`ship`.
    """
    fitted = fit_calibration(
        encoder.card.encoder,
        source,
        np.zeros((0, encoder.card.dim), np.float16),
        0,
        encode_pack(encoder, calibration.films)[0],
        calibration.subjects,
        encode_pack(encoder, validation.films)[0],
        validation.subjects,
        *((looks.calibration, looks.validation) if looks is not None else (None, None)),
    )
    return replace(fitted, look=looks.matcher.digest) if looks is not None and fitted.looks else fitted


def _measured(encoder: Encoder, pack: Pack) -> dict[str, Any]:
    prints, accepted = encode_pack(encoder, pack.films)
    return {**figures(prints, pack.subjects), "kept_by_gate": round(float(accepted.mean()), 4)}


@torch.inference_mode()
def _features(net: nn.Module, films: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    net.eval()
    out = []
    for start in range(0, len(films), _BATCH):
        x = torch.from_numpy(films[start : start + _BATCH])[:, None].float() / 255.0
        x = x.contiguous(memory_format=torch.channels_last)
        with low_precision(torch.device("cpu")):
            features = net.features(x)  # type: ignore[operator]
        out.append(features.float())
    return torch.cat(out).numpy()


def _golden_fingerprints(folder: Path, card: Card, inputs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Fingerprints of the golden inputs in float32, the reference for every machine."""
    from safetensors.torch import load

    from leakscan.fingerprint.encoders.networks import ARCHITECTURES

    state = {k: v for k, v in load((folder / card.weights).read_bytes()).items() if not k.startswith("gate.")}
    net = ARCHITECTURES[card.architecture](card.dim).eval()
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    with torch.inference_mode():
        out = net(torch.from_numpy(inputs)[:, None].float() / 255.0)
    return nn.functional.normalize(out).numpy()


def _png(picture: npt.NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
