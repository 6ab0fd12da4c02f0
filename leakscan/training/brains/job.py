"""The job behind ``leakscan train --preset fingerprint-3d``: heads in, a brain network and an encoder out.

The network that names tissues is trained first (:mod:`.tissue_lesson`), then the average brain and the metric
are made with it (:mod:`.average_brain`). Both go on where they were stopped.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from leakscan.decide.calibration.tail import LEAST_SUBJECTS
from leakscan.errors import SourceError, UsageError
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.synthetic.brains.people import Source, read_people
from leakscan.training.brains.average_brain import learn_edges, learn_metric, save_brain, template_of
from leakscan.training.brains.config import PRESET, BrainConfig
from leakscan.training.brains.labelled_heads import held_people, read_heads
from leakscan.training.brains.tissue_lesson import TISSUE_METRICS, TissueConfig, TissueLesson
from leakscan.training.shipping.model_folder import check_name, zipped
from leakscan.training.shipping.ship_brain import encoder_of
from leakscan.training.trainer import Trainer, read_rows
from leakscan.training.training_folder import SUMMARY, claim, write_json
from leakscan.types import Progress

WEIGHTS = "brain.safetensors"


def train_brain(
    manifests: Sequence[Path],
    run: Path,
    config: BrainConfig,
    ship: str | None,
    progress: Progress,
    threads: int | None = None,
) -> dict[str, Any]:
    """Trains, or goes on training, and returns what ``summary.json`` says.

    Args:
        manifests: CSV tables with ``path``, ``subject_id``, ``contrast`` (``T1``, ``labels``), ``split``.
        run: The folder to write, or to go on in.
        config: The settings.
        ship: The name of the encoder to make of it; ``None`` makes none.
        progress: Receives how far the work is.
        threads: Threads of torch; ``None`` leaves it to torch.

    Raises:
        UsageError: The settings or the run folder do not fit.
        SourceError: The manifests lack heads to learn from or people to calibrate on.
        Stopped: The user pressed Ctrl-C; the same call goes on.

    Example::

        train_brain([Path("heads.csv")], Path("run"), BrainConfig(), "my-brain", Silent())
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("Training needs matplotlib.", "pip install 'leakscan[train]'")
    if threads is not None:
        torch.set_num_threads(threads)
    heads = read_heads(manifests, config.one_person)
    if not any(head.labels for head in heads["train"]) or not any(
        head.labels for head in heads.get("val", [])
    ):
        raise SourceError(
            "The network learns to name tissues from label maps; train and val need one at least.",
            "Give them rows with the contrast 'labels' (FreeSurfer's or MUSE's numbers).",
        )
    held = held_people(heads)
    if ship is not None:
        _check_shippable(ship, held)
    digest = hashlib.sha256("".join(sorted(m.read_text(encoding="utf-8") for m in manifests)).encode())
    claim(run, config, {"manifests": digest.hexdigest()[:16]})
    people, validation = read_people(heads["train"], progress), read_people(heads["val"], progress)
    lesson = TissueLesson(TissueConfig(steps=config.steps, seed=config.seed), people, validation)
    Trainer(lesson, run, progress).run()
    # Half precision from the start: the voxels that belong to the average brain must stay the same.
    net = BrainNet(template_of(people).half().float())
    net.tissues.load_state_dict(lesson.average.state_dict())
    net.eval()
    learn_edges(net, people, progress)
    learn_metric(net, people, config, run, progress)
    save_brain(net, run / WEIGHTS, config.model_dump())
    rows = read_rows(run, TISSUE_METRICS, config.steps)
    summary: dict[str, Any] = {
        "run": str(run),
        "preset": PRESET,
        "config": config.model_dump(),
        "heads": len(people),
        "people": len(set(people.subjects.tolist())),
        "people_to_calibrate_on": len({head.subject for head in held}),
        "last": rows[-1] if rows else None,
        "weights": str(run / WEIGHTS),
    }
    if ship is not None:
        training = {k: summary[k] for k in ("preset", "config", "heads", "people")}
        card = encoder_of(net, manifests, config.one_person, run / ship, training)
        summary |= {"encoder": card.encoder, "measured": dict(card.measured)}
        summary["shipped"] = str(zipped(run / ship))
    write_json(run / SUMMARY, summary)
    return summary


def _check_shippable(name: str, held: Sequence[Source]) -> None:
    """Refuses, before training, what could not be shipped after it."""
    check_name(name)
    people = len({head.subject for head in held})
    if people < LEAST_SUBJECTS:
        raise SourceError(
            f"An encoder cannot be made of this run: val and calibration have {people} people with a T1, and "
            f"their impostor pairs need at least {LEAST_SUBJECTS}.",
            "Give more people these splits, or make no encoder of the run.",
        )
