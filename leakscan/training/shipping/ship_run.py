"""From a finished run to an encoder: a model folder and the zip that ``leakscan models add`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.tail import LEAST_SUBJECTS
from leakscan.errors import SourceError
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.sources.manifest import column_values
from leakscan.synthetic.heads import draw_brain
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.lesson import BEST
from leakscan.training.films.pack import Pack, join_packs, pack_manifest
from leakscan.training.films.start import load_weights
from leakscan.training.shipping.gate import GateFilms, break_films
from leakscan.training.shipping.model_folder import check_name, zipped
from leakscan.training.shipping.packed_details import match_packs
from leakscan.training.shipping.ship import ShippingFilms, Trained, ship
from leakscan.training.training_folder import read_config
from leakscan.types import Progress

CALIBRATION, TEST = "calibration", "test"
_GATE_FILMS = 4800  # training films of each manifest that the gate learns from
_BROKEN = 2400  # of them that are broken, which it learns to refuse
_HEADS = 12  # drawn brains whose slices the gate learns to refuse
_SLICES = 12  # of each


def check_shippable(name: str, subjects: Mapping[str, int]) -> None:
    """Refuses, before training, what could not be shipped after it.

    Args:
        name: The name of the encoder.
        subjects: The number of subjects by split.

    Raises:
        UsageError: The name cannot be a folder's.
        SourceError: The ``calibration`` split, whose impostors decide, has too few subjects.

    Example:
        >>> check_shippable("our-films", {"train": 5000, "calibration": 3})
        Traceback (most recent call last):
        ...
        leakscan.errors.SourceError: An encoder cannot be made of this run: ... has 3 subjects, ...
    """
    check_name(name)
    found = subjects.get(CALIBRATION, 0)
    if found < LEAST_SUBJECTS:
        raise SourceError(
            f"An encoder cannot be made of this run: the split 'calibration' has {found} subjects, and its "
            f"impostor pairs need at least {LEAST_SUBJECTS}.",
            "Set aside some hundred subjects as calibration: their impostor pairs decide what a match is.",
        )


def ship_run(
    run: Path,
    manifests: Sequence[Path],
    name: str,
    training: Mapping[str, Any],
    progress: Progress,
    workers: int | None = None,
) -> str:
    """Makes an encoder of the best weights of a run.

    Writes ``RUN/NAME`` and ``RUN/NAME.zip``. The gate learns from training films and slices of drawn
    brains, the card's thresholds come from the ``calibration`` split, its figures from ``test``
    where there is one.

    Args:
        run: A run folder with ``best.safetensors``.
        manifests: The manifests of the run.
        name: The name of the encoder.
        training: What the card says of the training (a run's summary).
        progress: Receives the number of films decoded.
        workers: Decoding processes; one per core if not given.

    Returns:
        The path of the zip.

    Example::

        summary = json.loads(Path("run/summary.json").read_text())
        ship_run(Path("run"), [Path("films.csv")], "our-films", summary, Silent())
    """
    config = read_config(run, TrainConfig)
    net = ARCHITECTURES[config.architecture](FINGERPRINT_DIM)
    load_weights(net, run / BEST, config.architecture)

    def packed(split: str, most: int | None = None) -> Pack:
        chosen = [m for m in manifests if _has([m], split)]
        return join_packs([pack_manifest(m, {split}, config.side, workers, progress, most) for m in chosen])

    tests = {TEST: packed(TEST)} if _has(manifests, TEST) else {}
    validation, calibration, taught = packed("val"), packed(CALIBRATION), packed("train", _GATE_FILMS).films
    refused = np.concatenate([break_films(taught[:_BROKEN]), _drawn_slices(config.side)])
    films = ShippingFilms(
        gate=GateFilms(taught, refused, validation.films),
        validation=validation,
        calibration=calibration,
        tests=tests,
        source=f"calibration split of {', '.join(m.name for m in manifests)}",
        matches=match_packs(None, calibration, validation, workers, progress),
    )
    told = {k: training[k] for k in ("preset", "start", "steps", "train_films", "train_subjects", "words")}
    ship(Trained(net.eval(), config.architecture, config.side, told), films, run / name)
    return str(zipped(run / name))


def _drawn_slices(side: int, seed: int = 1) -> npt.NDArray[np.uint8]:
    """Canonical arrays of slices of drawn brains: what a gate for chest films must refuse."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(_HEADS):
        head = draw_brain(rng)
        for _ in range(_SLICES):
            axis = int(rng.integers(3))
            at = int(rng.uniform(0.25, 0.75) * head.shape[axis])
            out.append(np.rint(canonical_radiograph(np.rot90(head.take(at, axis)), side) * 255))
    return np.stack(out).astype(np.uint8)


def _has(manifests: Sequence[Path], split: str) -> bool:
    return any(split in column_values(m, "split") for m in manifests)
