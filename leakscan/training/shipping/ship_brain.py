"""Makes a brain encoder: ``python -m leakscan.training.shipping.ship_brain WEIGHTS MANIFEST... -o FOLDER``.

The gate and the calibration come from the people of val and calibration, as they are and scanned again by
the generator; the card reports on test and on people with several real contrasts. Prints what the
card holds as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load

from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import read_calibration, write_calibration
from leakscan.decide.calibration.fit import fit_calibration
from leakscan.fingerprint.encoders.brain.brain_encoder import ARCHITECTURE, BrainEncoder, brain_net
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.encoders.card import Card, ImpostorScores, weights_digest, write_card
from leakscan.fingerprint.encoders.encoder import Encoded
from leakscan.fingerprint.preprocess import volume
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.synthetic.brains.people import Source, read_people
from leakscan.synthetic.heads import draw_brain
from leakscan.training.brains.average_brain import aligned_views, save
from leakscan.training.brains.figures import HARSH, MILD, contrasts, measure, show
from leakscan.training.brains.job import held_people
from leakscan.training.brains.labelled_heads import read_heads
from leakscan.training.shipping.ship import golden_of, impostor_curve

_KEPT = 0.01  # share of the calibration volumes that the gate may refuse
_DRAWN_MM = 3.0
_GOLDEN_SEEDS = (0, 9)  # heads that lie upright beyond doubt: a fingerprint must not hang on rounding
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
        impostors=ImpostorScores(),
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


def seen_again(net: BrainNet, sources: Sequence[Source]) -> tuple[Encoded, npt.NDArray[np.str_]]:
    """Fingerprints of people as they are and as made-up scanners see them, mildly and harshly.

    Args:
        net: with its metric.
        sources: people with a T1.

    Returns:
        What the network says of three volumes of each, and whose they are.
    """
    people = read_people(sources)
    first = show(net, [s.t1 for s in sources if s.t1], people.subjects.tolist(), ["T1"] * len(people))
    again = [aligned_views(net, people, manner, seed) for manner, seed in ((MILD, 11), (HARSH, 12))]
    known = np.concatenate([first.maps, *(maps for maps, _ in again)])
    with torch.inference_mode():
        prints = net.project(torch.from_numpy(known)).numpy()
    fits = np.concatenate([first.fit, *(fit for _, fit in again)])
    return Encoded(prints, np.ones(len(prints), bool), fits), np.tile(people.subjects, 3)


def encoder_of(
    net: BrainNet,
    manifests: Sequence[Path],
    same: Mapping[str, str],
    folder: Path,
    training: Mapping[str, Any],
) -> Card:
    """Makes an encoder of a network: gate and calibration from val and calibration, figures from the rest.

    Args:
        net: with its metric.
        manifests: of people with one T1 (as for training), and of people with several contrasts, all of whom
            the card reports on.
        same: subject -> the subject who may be the same person.
        folder: to write, which names the encoder.
        training: what the card says of it.

    Raises:
        SourceError: a manifest cannot be used, or too few people are there to calibrate on.
    """
    heads = read_heads([m for m in manifests if contrasts(m) < 2], same)
    seen, subjects = seen_again(net, held_people(heads))
    measured: dict[str, Any] = {"training": dict(training)}
    for group, how, system, found in measure(net, manifests, same):
        if system == "fingerprint" and not group.startswith("val"):
            measured[" ".join((group.split(",")[0], how)).strip()] = found
    names = ", ".join(sorted({m.parent.name for m in manifests if contrasts(m) < 2}))
    source = f"{names}: people of val and calibration, as scanned and as made-up scanners see them"
    return ship_brain(net, folder.name, folder, seen, subjects, source, measured)


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="brain.safetensors of a run")
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="model folder, such as models/brain")
    parser.add_argument("--same", action="append", default=[], metavar="A=B", help="may be one person")
    parser.add_argument("--training", type=json.loads, default={}, help="JSON: what the card says of it")
    given = parser.parse_args()
    same = dict(pair.split("=", 1) for pair in given.same)
    net = brain_net(load(given.weights.read_bytes()))
    card = encoder_of(net, given.manifests, same, given.output, given.training)
    calibration = read_calibration(given.output / CALIBRATION_FILE, [card.encoder])
    fitted = {"people": calibration.tail.n_subjects, "floor": calibration.tail.floor}
    about = {"encoder": card.encoder, "gate": card.gate_threshold, "calibration": fitted}
    print(json.dumps({**about, **card.measured}, indent=1))


def golden_volumes() -> npt.NDArray[np.uint8]:
    """Two drawn heads ``(2, *SHAPE)`` that no person is behind."""
    out = []
    for seed in _GOLDEN_SEEDS:
        head = draw_brain(np.random.default_rng(seed), spacing_mm=_DRAWN_MM).astype(np.float32)
        canonical = canonical_volume(head, (_DRAWN_MM,) * 3, SHAPE, STEP_MM)
        out.append(np.rint(canonical * (_GREYS - 1)) * (255 // (_GREYS - 1)))
    return np.stack(out).astype(np.uint8)


if __name__ == "__main__":
    main()
