"""The job behind ``leakscan train --preset fingerprint-3d``: heads in, a brain network and an encoder out.

The network that names tissues is trained first (:mod:`.tissues`), then the average brain and the metric are
made with it (:mod:`.brain`). Both go on where they were stopped.
"""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from leakscan import tables
from leakscan.decide.calibration.tail import LEAST_SUBJECTS
from leakscan.errors import SourceError, UsageError
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.synthetic.brains.people import Source, read_people
from leakscan.training.brains.average_brain import learn_edges, learn_metric, save, template_of
from leakscan.training.brains.labelled_heads import read_heads
from leakscan.training.brains.tissue_training import TISSUE_METRICS, TissueConfig, train_tissues
from leakscan.training.training_folder import begin, write_json
from leakscan.types import Progress

PRESET = "fingerprint-3d"
WEIGHTS = "brain.safetensors"


@dataclass(frozen=True)
class BrainConfig:
    """Everything that decides a run but the heads.

    Attributes:
        steps: of the tissue network, of four views each.
        seed: of the tissue network.
        views: of every head, from which the metric learns how scans of one person differ.
        anatomies: people made of every head for the metric, itself included.
        components: principal components of the tissue metric.
        shrinkage: of the tissue metric.
        same: subjects who may be one person, ``A=B`` with commas between.
    """

    steps: int = 1500
    seed: int = 0
    views: int = 4
    anatomies: int = 2
    components: int = 700
    shrinkage: float = 0.1
    same: str = ""

    @property
    def one_person(self) -> dict[str, str]:
        """Subject -> the subject who may be the same person."""
        pairs = [pair.partition("=") for pair in self.same.split(",") if pair.strip()]
        return {a.strip(): b.strip() for a, _, b in pairs}


def brain_config(given: Mapping[str, object]) -> BrainConfig:
    """The preset with some settings changed.

    Raises:
        UsageError: a setting is unknown or no number.
    """
    known = {f.name: type(getattr(BrainConfig(), f.name)) for f in fields(BrainConfig)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"{PRESET} has no setting {name!r}.",
                f"Its settings are {', '.join(known)} (--set name=value).",
            )
        try:
            values[name] = known[name](value)
        except (TypeError, ValueError):
            raise UsageError(f"{name}={value} is not what it should be: {known[name].__name__}.") from None
    config = BrainConfig(**values)
    if min(config.steps, config.views, config.anatomies, config.components) < 1 or config.shrinkage <= 0:
        raise UsageError("steps, views, anatomies and components are at least 1, shrinkage is more than 0.")
    if config.views < 2:
        raise UsageError("A metric learns from two views of every head or more.", "Leave --set views out.")
    return config


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
        manifests: CSV with ``path``, ``subject_id``, ``contrast`` (``T1``, ``labels``), ``split``.
        run: folder to write, or to go on in.
        config: of the run.
        ship: name of the encoder to make of it; ``None`` makes none.
        progress: is told.
        threads: of torch; ``None`` leaves it to torch.

    Raises:
        UsageError: the settings or the run folder do not fit.
        SourceError: the manifests lack heads to learn from or people to calibrate on.
        Stopped: by Ctrl-C; the same call goes on.
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
    begin(run, asdict(config), {"manifests": digest.hexdigest()[:16]}, lambda begun: _changed(begun, config))
    people, validation = read_people(heads["train"], progress), read_people(heads["val"], progress)
    tissues = train_tissues(
        replace(TissueConfig(), steps=config.steps, seed=config.seed),
        people,
        validation,
        run,
        progress=progress,
    )
    # Half precision from the start: the voxels that belong to the average brain must stay the same.
    net = BrainNet(template_of(people).half().float())
    net.tissues.load_state_dict(tissues.state_dict())
    net.eval()
    learn_edges(net, people, progress)
    learn_metric(
        net, people, config.views, config.anatomies, config.components, config.shrinkage, run, progress
    )
    save(net, run / WEIGHTS, asdict(config))
    rows = tables.read(run / "metrics.parquet", TISSUE_METRICS).to_pylist()
    summary: dict[str, Any] = {
        "run": str(run),
        "preset": PRESET,
        "config": asdict(config),
        "heads": len(people),
        "people": len(set(people.subjects.tolist())),
        "people_to_calibrate_on": len({head.subject for head in held}),
        "last": rows[-1] if rows else None,
        "weights": str(run / WEIGHTS),
    }
    if ship is not None:
        from leakscan.training.shipping.ship_brain import encoder_of

        training = {k: summary[k] for k in ("preset", "config", "heads", "people")}
        card = encoder_of(net, manifests, config.one_person, run / ship, training)
        summary |= {"encoder": card.encoder, "measured": dict(card.measured)}
        summary["shipped"] = str(run / f"{ship}.zip")
        with zipfile.ZipFile(run / f"{ship}.zip", "w") as z:
            for file in sorted((run / ship).iterdir()):
                z.write(file, f"{ship}/{file.name}")
    write_json(run / "summary.json", summary)
    return summary


def held_people(heads: Mapping[str, Sequence[Source]]) -> list[Source]:
    """Those of val and calibration who have a T1: gate and calibration come from them."""
    return [head for split in ("val", "calibration") for head in heads.get(split, ()) if head.t1]


def _check_shippable(name: str, held: Sequence[Source]) -> None:
    if Path(name).name != name or not name.strip("."):
        raise UsageError(f"--ship {name!r} is no name for an encoder.")
    people = len({head.subject for head in held})
    if people < LEAST_SUBJECTS:
        raise SourceError(
            f"An encoder cannot be made of this run: val and calibration have {people} people with a T1, and "
            f"their impostor pairs need at least {LEAST_SUBJECTS}.",
            "Give more people these splits, or leave --ship out.",
        )


def _changed(begun: Mapping[str, Any], config: BrainConfig) -> dict[str, tuple[Any, Any]]:
    now = asdict(config)
    return {name: (begun.get(name), now[name]) for name in now if begun.get(name) != now[name]}
