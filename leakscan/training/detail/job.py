"""Teaches detail matching from manifests of films: ``FOLDER/detail.safetensors``.

The trunk starts as that of an installed chest encoder. Every anchor and another film of its subject meet
each other and some strangers whom the anchor's fingerprint is near to; a softmax over them and a logistic
loss on each pair are made small. The network learns from the split ``train``; figures are of ``val``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from leakscan.decide.calibration.likelihood import fit_joint
from leakscan.decide.persons.nearest import match_nearest
from leakscan.errors import UsageError
from leakscan.fingerprint.encoders.encoder import read_weights
from leakscan.fingerprint.encoders.film.detail_grid import SIDE
from leakscan.fingerprint.encoders.film.detail_matcher import FILE
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.film.torch_details import save_detail_matcher
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder, as_tensors
from leakscan.fingerprint.preprocess import radiograph
from leakscan.sources.split_names import TRAIN, VALIDATION
from leakscan.training.detail.batches import DetailBatches
from leakscan.training.detail.config import DetailConfig
from leakscan.training.detail.lesson import DetailLesson
from leakscan.training.films.archive import packed_films
from leakscan.training.films.form import Form
from leakscan.training.films.manifests import check_manifests
from leakscan.training.films.pack import Pack
from leakscan.training.films.validation import to_float
from leakscan.training.shipping.figures import encode_pack
from leakscan.training.trainer import Trainer
from leakscan.training.training_folder import SUMMARY, claim, write_json
from leakscan.types import Progress

_PACKED_SIDE = 240  # px: crops are made from it
_BATCH = 128


@dataclass(frozen=True)
class DetailJob:
    """What a user asks for beside the settings.

    Attributes:
        manifests: Tables with ``path, subject_id, split``.
        folder: The folder of the run.
        encoder: The name of the encoder whose trunk and fingerprints are used; the one for chest films if
            not given.
        cache: The folder for packed films; ``FOLDER/packed`` if not given.
        workers: Processes that decode; one per core if not given.
    """

    manifests: tuple[Path, ...]
    folder: Path
    encoder: str | None = None
    cache: Path | None = None
    workers: int | None = None


def teach_detail(job: DetailJob, config: DetailConfig, progress: Progress) -> dict[str, Any]:
    """Teaches, or goes on teaching, and returns what ``summary.json`` says.

    Args:
        job: Films and folders.
        config: How it is taught.
        progress: Receives how far the work is.

    Raises:
        LeakscanError: Manifests, encoder, settings or folder do not fit, or nothing can be learned.
        Stopped: The user pressed Ctrl-C; the same call goes on.

    Example::

        teach_detail(DetailJob((Path("films.csv"),), Path("detail")), DetailConfig(), Silent())
    """
    check_manifests(job.manifests)
    net, reader = _start_net(job.encoder)
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    about = {"encoder": reader.card.encoder, "manifests": [str(m.resolve()) for m in job.manifests]}
    claim(job.folder, config, about)
    cache = job.cache or job.folder / "packed"

    def read(split: str, side: int) -> Pack:
        return packed_films(job.manifests, split, Form((side, side)), cache, progress, job.workers)

    train, seen, validation = read(TRAIN, _PACKED_SIDE), read(TRAIN, SIDE), read(VALIDATION, SIDE)
    batches = DetailBatches(train.subjects, encode_pack(reader, seen.films)[0], config)
    Trainer(DetailLesson(net, train.films, batches, config), job.folder, progress).run()
    save_detail_matcher([net.cpu().eval()], job.folder / FILE)
    prints = encode_pack(reader, validation.films)[0]
    found = {
        "look": str(job.folder / FILE),
        **about,
        **config.model_dump(),
        "train_films": len(train.films),
        "val": _detail_figures(net, validation.films, prints, validation.subjects),
    }
    write_json(job.folder / SUMMARY, found)
    return found


def _start_net(encoder: str | None = None) -> tuple[DetailNet, TorchEncoder]:
    """A fresh network with the trunk of an installed encoder, and that encoder.

    Args:
        encoder: The encoder's name; the one for chest films if not given.

    Raises:
        UsageError: There is none, or its network has another trunk.
    """
    entry = card_for("chest_radiograph", encoder)
    if entry is None:
        raise UsageError("There is no encoder for chest films.", "Add one.", code="no_encoder_of_kind")
    card, folder = entry
    if not card.architecture.startswith("efficientnet_lite0"):
        raise UsageError(f"{card.name} is a {card.architecture}; detail matching has an EfficientNet-Lite0.")
    state = as_tensors(read_weights(card, folder, radiograph.VERSION))
    net = DetailNet()
    wanted = {k: state[f"trunk.{k}"] for k in net.trunk.state_dict()}
    net.trunk.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in wanted.items()})
    return net, TorchEncoder(card, folder)


@torch.inference_mode()
def _detail_figures(
    net: DetailNet,
    films: npt.NDArray[np.uint8],
    prints: npt.NDArray[np.float32],
    subjects: npt.NDArray[np.str_],
) -> dict[str, float]:
    """P@1 by fingerprint alone, and once the details of the ten nearest are matched.

    Score and detail match are joined by ``fit_joint`` on these very pairs: three numbers, which flatter
    little.

    Args:
        net: The network that was taught.
        films: ``(n, SIDE, SIDE)`` uint8.
        prints: ``(n, d)`` unit fingerprints.
        subjects: ``(n,)`` subject of each film.
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

    def match(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        found = [net.compare(details[i], details[j]) for i, j in (p.T for p in _in_batches(pairs))]
        return torch.cat(found).double().cpu().numpy()

    near = match_nearest(prints, subjects, match)
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
