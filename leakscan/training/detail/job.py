"""Teaches the second look: ``python -m leakscan.training.detail.job MANIFEST... -o FOLDER``.

The trunk starts as that of an installed chest encoder. Every anchor and another film of its subject meet
each other and five strangers whom the anchor's fingerprint is near to; a softmax over the six and a logistic
loss on each pair are made small.
Splits ``train`` and ``val``; ``val`` is reported, nothing is chosen by it but when to stop looking. A second
call goes on where the first was stopped. Prints the last figures as JSON; FOLDER/detail.safetensors is the
network, to be calibrated and shipped by ``leakscan.research.ship_cxr --look``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from leakscan.cli.output import RichProgress
from leakscan.decide.calibration.likelihood import fit_joint
from leakscan.decide.persons.nearest import match_nearest
from leakscan.errors import LeakscanError, UsageError
from leakscan.fingerprint.encoders.encoder import TorchEncoder, read_weights
from leakscan.fingerprint.encoders.film.detail_matcher import FILE, save_detail_matcher
from leakscan.fingerprint.encoders.film.detail_net import SIDE, DetailNet
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.preprocess import radiograph
from leakscan.sources.split_names import TRAIN, VALIDATION
from leakscan.training.detail.batches import DetailBatches
from leakscan.training.detail.steps import DetailConfig, teach
from leakscan.training.films.archive import packed_films
from leakscan.training.films.form import Form
from leakscan.training.films.manifests import check_manifests
from leakscan.training.films.pack import Pack
from leakscan.training.films.validation import to_float
from leakscan.training.shipping.figures import encode_pack
from leakscan.training.training_folder import begin, write_json
from leakscan.types import Progress

_PACKED_SIDE = 240  # px: crops are made from it
_BATCH = 128


def start_net(encoder: str | None = None) -> tuple[DetailNet, TorchEncoder]:
    """A fresh network with the trunk of an installed encoder, and that encoder.

    Args:
        encoder: its name; the one for chest films if not given.

    Raises:
        UsageError: there is none, or its network has another trunk.
    """
    entry = card_for("chest_radiograph", encoder)
    if entry is None:
        raise UsageError("There is no encoder for chest films.", "leakscan models list")
    card, folder = entry
    if not card.architecture.startswith("efficientnet_lite0"):
        raise UsageError(f"{card.name} is a {card.architecture}; the second look has an EfficientNet-Lite0.")
    state = read_weights(card, folder, radiograph.VERSION)
    net = DetailNet()
    wanted = {k: state[f"trunk.{k}"] for k in net.trunk.state_dict()}
    net.trunk.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in wanted.items()})
    return net, TorchEncoder(card, folder)


@torch.inference_mode()
def detail_figures(
    net: DetailNet,
    films: npt.NDArray[np.uint8],
    prints: npt.NDArray[np.float32],
    subjects: npt.NDArray[np.str_],
) -> dict[str, float]:
    """P@1 by fingerprint, and once the ten nearest are looked at.

    Score and look are joined by ``fit_joint`` on these very pairs: three numbers, which flatter little.

    Args:
        net: looks.
        films: ``(n, SIDE, SIDE)``.
        prints: ``(n, d)`` unit fingerprints.
        subjects: ``(n,)``.
    """
    net.eval()
    device = net.place.device
    details = torch.cat(
        [
            net.describe(
                to_float(films[at : at + _BATCH], device).contiguous(memory_format=torch.channels_last)
            )
            for at in range(0, len(films), _BATCH)
        ]
    )

    def look(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        found = [net.compare(details[i], details[j]) for i, j in (p.T for p in _in_batches(pairs))]
        return torch.cat(found).double().cpu().numpy()

    near = match_nearest(prints, subjects, look)
    _, owner, often = np.unique(near.owner, return_inverse=True, return_counts=True)
    weight = 1.0 / often[owner]
    each = np.repeat(weight, near.same.shape[1])
    joint = fit_joint(near.score.ravel(), near.found.ravel(), near.same.ravel(), each)
    return {
        "precision_at_1": round(float(np.average(near.first, weights=weight)), 4),
        "precision_at_1_looked": round(float(np.average(near.first_by_both(joint), weights=weight)), 4),
        "look_per_nat": round(joint.detail, 3),
    }


def _in_batches(pairs: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [pairs[at : at + _BATCH] for at in range(0, len(pairs), _BATCH)]


def teach_detail(
    manifests: Sequence[Path],
    folder: Path,
    config: DetailConfig,
    encoder: str | None,
    cache: Path,
    workers: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Makes ``folder/detail.safetensors`` and returns what was found.

    Args:
        manifests: with ``path, subject_id, split``.
        folder: of this run.
        config: of this run.
        encoder: whose trunk and fingerprints are used; the one for chest films if not given.
        cache: folder for packed films.
        workers: decoding processes.
        progress: is told.

    Raises:
        LeakscanError: of the kinds in :mod:`leakscan.errors`.
    """
    check_manifests(manifests)
    net, reader = start_net(encoder)
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    now = asdict(config)
    about = {"encoder": reader.card.encoder, "manifests": [str(m.resolve()) for m in manifests]}
    begin(
        folder, now, about, lambda begun: {k: (begun.get(k), now[k]) for k in now if begun.get(k) != now[k]}
    )

    def read(split: str, side: int) -> Pack:
        return packed_films(manifests, split, Form((side, side)), cache, progress, workers)

    train, seen, validation = read(TRAIN, _PACKED_SIDE), read(TRAIN, SIDE), read(VALIDATION, SIDE)
    prints = encode_pack(reader, seen.films)[0]
    batches = DetailBatches(train.subjects, prints, config.anchors, config.strangers, config.seed)
    teach(net, train.films, batches, config, folder, progress)
    save_detail_matcher([net.cpu().eval()], folder / FILE)
    found = {
        "look": str(folder / FILE),
        **about,
        **now,
        "train_films": len(train.films),
        "val": detail_figures(
            net, validation.films, encode_pack(reader, validation.films)[0], validation.subjects
        ),
    }
    write_json(folder / "summary.json", found)
    return found


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", type=Path, nargs="+", help="tables with path, subject_id, split")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--encoder", help="whose trunk and fingerprints (default: the installed one)")
    parser.add_argument("--cache", type=Path, help="folder for packed films (default: OUTPUT/packed)")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one per core)")
    for name, value in asdict(DetailConfig()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    config = DetailConfig(**{name: given[name] for name in asdict(DetailConfig())})
    folder: Path = given["output"]
    try:
        found = teach_detail(
            given["manifests"],
            folder,
            config,
            given["encoder"],
            given["cache"] or folder / "packed",
            given["workers"],
            RichProgress(Console(stderr=True), True),
        )
    except LeakscanError as e:
        raise SystemExit(f"{e.message} {e.hint}".strip()) from None
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
