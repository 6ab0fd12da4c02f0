"""Makes an encoder of a brain network: weights, gate, calibration, measured figures, card.

Gate and calibration come from the people of ``val`` and ``calibration``, as they are and scanned again by
the generator; the card reports on ``test`` and on people with several real contrasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load

from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import write_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.fingerprint.encoders.brain.brain_encoder import ARCHITECTURE, BrainEncoder, brain_net
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.encoders.card import Card, weights_digest, write_card
from leakscan.fingerprint.encoders.encoder import Encoded
from leakscan.fingerprint.preprocess import volume
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.synthetic.brains.people import Source, read_people
from leakscan.synthetic.heads import draw_brain
from leakscan.training.brains.average_brain import aligned_views, save_brain
from leakscan.training.brains.figures import HARSH, MILD, card_figures, fingerprints, show
from leakscan.training.brains.labelled_heads import contrasts_of, held_people, read_heads
from leakscan.training.shipping.model_folder import NO_IMPOSTORS, golden_of, impostor_curve

_KEPT = 0.01  # share of the calibration volumes that the gate may refuse
_DRAWN_MM = 3.0
_GOLDEN_SEEDS = (0, 9)  # heads that lie upright beyond doubt: a fingerprint must not hang on rounding
_GREYS = 16  # of golden volumes: a card is text, and smooth pictures of few greys pack well


def ship_brain(
    net: BrainNet,
    folder: Path,
    seen: Encoded,
    subjects: npt.NDArray[np.str_],
    source: str,
    measured: Mapping[str, Any],
) -> Card:
    """Writes a model folder and returns its card.

    There are too few people for a score to decide, so the calibration says that it does not.

    Args:
        net: The trained network, with its metric.
        folder: The folder to write, which names the encoder.
        seen: What the network says of ``n`` volumes of people it was not trained on.
        subjects: ``(n,)`` whom each volume shows.
        source: Whose volumes they are, in words.
        measured: Figures that the card reports.

    Example::

        card = ship_brain(net, Path("models/our-brains"), seen, subjects, "Our volunteers", measured={})
        print(card.encoder)  # our-brains@ and the digest of its weights
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_brain(net, folder / "weights.safetensors", {})
    raw = (folder / "weights.safetensors").read_bytes()
    inputs = golden_volumes()
    with torch.inference_mode():
        halved = brain_net(load(raw))
        prints = halved(torch.from_numpy(inputs)[:, None].float() / 255.0).numpy()
    card = Card(
        name=folder.name,
        kind="brain_mri",
        architecture=ARCHITECTURE,
        dim=len(net.axes) + net.folds,
        preprocessing=volume.VERSION,
        side=SHAPE[0],
        weights="weights.safetensors",
        digest=weights_digest(raw, volume.VERSION, SHAPE[0]),
        gate_threshold=-1.0,
        golden=golden_of(inputs.reshape(len(inputs), -1, SHAPE[2]), prints),
        impostors=NO_IMPOSTORS,
    )
    card = replace(
        card,
        gate_threshold=round(float(np.quantile(seen.quality, _KEPT)), 4),
        impostors=impostor_curve(seen.fingerprints, subjects, source),
        measured=dict(measured),
    )
    nobody = Cohort(np.zeros((0, card.dim), np.float16), 0)
    fitted = fit_calibration(card.encoder, source, nobody, LabelledPrints(seen.fingerprints, subjects))
    write_calibration(replace(fitted, decides=False), folder / CALIBRATION_FILE)
    write_card(card, folder)
    BrainEncoder(card, folder)  # refuses what does not reproduce its card
    return card


def _seen_again(net: BrainNet, sources: Sequence[Source]) -> tuple[Encoded, npt.NDArray[np.str_]]:
    """Fingerprints of people as they are and as made-up scanners see them, mildly and harshly.

    Args:
        net: The network, with its metric.
        sources: The people, each with a T1.

    Returns:
        What the network says of three volumes of each, and whose they are.
    """
    people = read_people(sources)
    first = show(net, [s.t1 for s in sources if s.t1], people.subjects.tolist(), ["T1"] * len(people))
    again = [aligned_views(net, people, manner, seed) for manner, seed in ((MILD, 11), (HARSH, 12))]
    known = np.concatenate([first.maps, *(maps for maps, _ in again)])
    prints = fingerprints(net, known)
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
        net: The network, with its metric.
        manifests: Tables of people with one T1 (as for training), and of people with several contrasts, all
            of whom the card reports on.
        same: Subject -> the subject who may be the same person.
        folder: The folder to write, which names the encoder.
        training: What the card says of the training.

    Raises:
        SourceError: A manifest cannot be used, or too few people are there to calibrate on.

    Example::

        card = encoder_of(net, [Path("heads.csv")], {}, Path("models/our-brains"), training={})
        print(card.measured)
    """
    alone = [m for m in manifests if len(contrasts_of(m)) < 2]
    seen, subjects = _seen_again(net, held_people(read_heads(alone, same)))
    measured = {"training": dict(training), **card_figures(net, manifests, same)}
    names = ", ".join(sorted({m.parent.name for m in alone}))
    source = f"{names}: people of val and calibration, as scanned and as made-up scanners see them"
    return ship_brain(net, folder, seen, subjects, source, measured)


def golden_volumes() -> npt.NDArray[np.uint8]:
    """Two drawn heads ``(2, *SHAPE)`` that no person is behind.

    Example::

        inputs = golden_volumes()
        print(inputs.shape == (2, *SHAPE), inputs.max())  # True 255
    """
    out = []
    for seed in _GOLDEN_SEEDS:
        head = draw_brain(np.random.default_rng(seed), spacing_mm=_DRAWN_MM).astype(np.float32)
        canonical = canonical_volume(head, (_DRAWN_MM,) * 3, SHAPE, STEP_MM)
        out.append(np.rint(canonical * (_GREYS - 1)) * (255 // (_GREYS - 1)))
    return np.stack(out).astype(np.uint8)
