"""Calibrates the brain encoder anew: ``python -m leakscan.research.recalibrate_brain DATA -o FOLDER``.

Its strangers are all people with a T1 whom nothing was learned from: those of val, calibration and test of
IXI and ds002748. Only people of one collection are compared: they are the most alike. (Strangers among the
people of train are less alike, so nobody of train is among them.) Prints what the calibration holds, and what
strangers among the people of train come to, as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from safetensors.torch import load

from leakscan.cli.output import Output
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE, read_calibration, write_calibration
from leakscan.decide.calibration.impostors import impostor_pairs, join_samples
from leakscan.decide.calibration.tail import Tail, fit_tail
from leakscan.fingerprint.encoders.brain.brain_encoder import brain_net
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.encoders.card import read_card
from leakscan.research.command import run_command
from leakscan.synthetic.brains.people import Source
from leakscan.training.brains.figures import fingerprints, show
from leakscan.training.brains.labelled_heads import read_heads

SETS = ("ixi", "ds002748", "synthseg_labels")
"""Folders of ``DATA/mri`` that the encoder was trained on a part of."""
SAME = {"ixi:IXI384": "ixi:IXI383", "ixi:IXI201": "ixi:IXI150"}
"""Subjects who may be one person, by the notes of the data."""
_UNSEEN = ("val", "calibration", "test")
_SHOWN = (0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.33)  # similarities whose rates are printed
_LEVELS = (1e-2, 3e-3, 1e-3)  # rates at which people of train are counted


@dataclass(frozen=True)
class Scans:
    """Fingerprints ``(n, d)`` of T1 volumes, whose they are ``(n,)``, and from which set ``(n,)``."""

    prints: npt.NDArray[np.float32]
    subjects: npt.NDArray[np.str_]
    sets: npt.NDArray[np.str_]


def recalibrate_brain(
    data: Annotated[Path, typer.Argument(help="Folder with mri/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the encoder.")],
) -> None:
    """Give the brain encoder its calibration anew, and print what it holds as JSON.

    Example: python -m leakscan.research.recalibrate_brain DATA -o models/brain-folds
    """
    card = read_card(output)
    net = brain_net(load((output / card.weights).read_bytes())).eval()
    heads = read_heads([data / "mri" / name / "manifest.csv" for name in SETS], SAME)
    unseen = _scans(net, [head for split in _UNSEEN for head in heads[split]])
    learned = _scans(net, heads["train"])
    before = read_calibration(output / FILE, [card.encoder])
    fitted = of_one_collection(before, unseen)
    write_calibration(fitted, output / FILE)
    Output(as_json=True).data({"encoder": card.encoder, **_about(fitted.tail, learned)})


def of_one_collection(before: Calibration, people: Scans) -> Calibration:
    """A calibration whose strangers are people of one set each, and which decides.

    Args:
        before: The calibration whose genuine pairs are kept.
        people: Volumes of people whom nothing was learned from.

    Example::

        of_one_collection(read_calibration(path, [name]), scans).tail.floor
    """
    sample = join_samples(
        [
            impostor_pairs(people.prints[own], people.subjects[own], source=name)
            for name in np.unique(people.sets)
            if (own := people.sets == name).any()
        ]
    )
    names = ", ".join(np.unique(people.sets))
    source = f"{names}: people of val, calibration and test, those of one set with each other"
    tail = replace(fit_tail(sample), source=source)
    return replace(before, source=source, tail=tail, decides=True, one_collection=True)


def _scans(net: BrainNet, heads: Sequence[Source]) -> Scans:
    """The fingerprints of the T1 volumes of some people."""
    imaged = {head.t1: head.subject for head in heads if head.t1 is not None}
    files, subjects = list(imaged), list(imaged.values())
    shown = show(net, files, subjects, ["T1"] * len(files))
    sets = [name.split(":")[0] for name in subjects]
    return Scans(fingerprints(net, shown.maps), shown.subjects, np.array(sets))


def _about(tail: Tail, learned: Scans) -> dict[str, Any]:
    """What a tail states, and what strangers of one collection among the people of train come to."""
    i, j = np.triu_indices(len(learned.subjects), 1)
    kept = (learned.subjects[i] != learned.subjects[j]) & (learned.sets[i] == learned.sets[j])
    scores = np.einsum("ij,ij->i", learned.prints[i[kept]], learned.prints[j[kept]]).astype(np.float64)
    p = tail.p_value(scores)
    return {
        "people": tail.n_subjects,
        "pairs": tail.n_effective,
        "floor": float(f"{tail.floor:.3g}"),
        "least": float(f"{tail.least:.3g}"),
        "rates": {f"{s:g}": float(f"{tail.p_value(np.array([s]))[0]:.2g}") for s in _SHOWN},
        "people_of_train": {
            "pairs": len(scores),
            "highest": round(float(scores.max()), 3),
            "actual_over_stated": {f"{r:g}": round(float((p <= r).mean()) / r, 2) for r in _LEVELS},
        },
    }


if __name__ == "__main__":
    run_command(recalibrate_brain)
