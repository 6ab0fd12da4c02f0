"""Teaches the second look: ``python -m leakscan.training.look_training MANIFEST... -o FOLDER``.

The trunk is that of an installed chest encoder and stays as it is, so its view of every film is made once
(``look_views``) and a step costs little. Every anchor meets another film of its subject and five strangers
whom its fingerprint is near to; a softmax over the six and a logistic loss on each pair are made small.
Splits ``train`` and ``val``; ``val`` is reported, nothing is chosen by it but when to stop looking. A second
call goes on where the first was stopped. Prints the last figures as JSON; FOLDER/look.safetensors is the
network, to be calibrated and shipped by ``leakscan.training.ship_cxr --look``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch import nn

from leakscan.cli.output import RichProgress
from leakscan.decide.likelihood import fit_joint
from leakscan.errors import LeakscanError, UsageError
from leakscan.evaluation.encoder_figures import encode_pack
from leakscan.evaluation.metrics import precision_at_1
from leakscan.fingerprint.encoders.detail_net import SIDE, DetailNet
from leakscan.fingerprint.encoders.encoder import TorchEncoder, read_weights
from leakscan.fingerprint.encoders.film_look import FILE, save_look
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.preprocess import radiograph
from leakscan.training.archive import packed_films
from leakscan.training.form import Form
from leakscan.training.interrupt import Interrupt, Stopped, deferred_interrupt
from leakscan.training.look_batches import Batch, LookBatches
from leakscan.training.look_views import View, make_view
from leakscan.training.manifests import TRAIN, VALIDATION, check_manifests
from leakscan.training.pack import Pack
from leakscan.training.run_folder import begin, whole, write_json
from leakscan.types import Progress

_PACKED_SIDE = 240  # px: crops are made from it
_WARM_UP = 100  # steps
_PAIRWISE = 0.5  # weight of the logistic loss
_CLIP = 1.0
_VALIDATED_NEAREST = 10
_SAVE_EVERY = 100  # steps


@dataclass(frozen=True)
class LookConfig:
    """How the second look is taught.

    Attributes:
        steps: in all.
        views: of every film, the unaltered one included.
        anchors: of a step.
        strangers: of an anchor.
        learning_rate: at its highest; rises over 100 steps, falls as half a cosine.
        weight_decay: of AdamW.
        seed: of everything.
    """

    steps: int = 2000
    views: int = 4
    anchors: int = 32
    strangers: int = 5
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    seed: int = 0


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
    for parameter in net.trunk.parameters():
        parameter.requires_grad_(False)
    return net, TorchEncoder(card, folder)


def loss_of(net: DetailNet, views: Sequence[View], batch: Batch, rng: np.random.Generator) -> torch.Tensor:
    """The loss of one batch, every film in a view of its own.

    Args:
        net: in training mode.
        views: of all films.
        batch: of the step.
        rng: draws the views.
    """
    b, k = batch.strangers.shape
    films = np.concatenate([batch.anchors, batch.partners, batch.strangers.ravel()])
    chosen = rng.integers(0, len(views), len(films)).tolist()
    device = net.place.device
    fine, coarse = (
        torch.from_numpy(
            np.stack([getattr(views[v], name)[film] for v, film in zip(chosen, films.tolist(), strict=True)])
        ).to(device)
        for name in ("fine", "coarse")
    )
    details = net.details(fine, coarse)
    anchors = torch.cat([torch.arange(b), torch.arange(b).repeat_interleave(k)]).to(device)
    logits = net.compare(details[anchors], details[b:])
    same, other = logits[:b], logits[b:].reshape(b, k)
    apart = nn.functional.cross_entropy(
        torch.cat([same[:, None], other], dim=1), torch.zeros(b, dtype=torch.long, device=device)
    )
    pairwise = nn.functional.softplus(-same).mean() + nn.functional.softplus(other).mean()
    return apart + _PAIRWISE * pairwise


@torch.inference_mode()
def look_figures(
    net: DetailNet, view: View, prints: npt.NDArray[np.float32], subjects: npt.NDArray[np.str_]
) -> dict[str, float]:
    """P@1 by fingerprint, and once the ten nearest are looked at.

    Score and look are joined by ``fit_joint`` on these very pairs: three numbers, which flatter little.

    Args:
        net: looks.
        view: of the films, unaltered.
        prints: ``(n, d)`` unit fingerprints.
        subjects: ``(n,)``.
    """
    net.eval()
    device = net.place.device
    details = torch.cat(
        [
            net.details(*(torch.from_numpy(m[at : at + 128]).to(device) for m in (view.fine, view.coarse)))
            for at in range(0, len(prints), 128)
        ]
    )
    _, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    cosine = prints @ prints.T
    np.fill_diagonal(cosine, -np.inf)
    queries = np.flatnonzero(counts[codes] > 1)
    nearest = np.argsort(-cosine[queries], axis=1, kind="stable")[:, :_VALIDATED_NEAREST]
    i, j = np.repeat(queries, nearest.shape[1]), nearest.ravel()
    found = np.concatenate(
        [
            net.compare(details[i[at : at + 256]], details[j[at : at + 256]]).cpu().numpy()
            for at in range(0, len(i), 256)
        ]
    )
    weight = 1.0 / counts[codes[queries]]
    same = codes[i] == codes[j]
    joint = fit_joint(cosine[i, j], found, same, np.repeat(weight, nearest.shape[1]))
    best = joint.llr(cosine[i, j], found).reshape(nearest.shape).argmax(axis=1)
    hit = np.take_along_axis(same.reshape(nearest.shape), best[:, None], axis=1)[:, 0]
    return {
        "precision_at_1": round(precision_at_1(prints, subjects), 4),
        "precision_at_1_looked": round(float(weight @ hit / weight.sum()), 4),
        "look_per_nat": round(joint.look, 3),
    }


def teach(
    net: DetailNet,
    views: Sequence[View],
    batches: LookBatches,
    config: LookConfig,
    folder: Path,
    progress: Progress,
) -> None:
    """Trains in place, from the last checkpoint in ``folder`` if there is one.

    Raises:
        Stopped: by Ctrl-C; a checkpoint was saved.
        LeakscanError: the loss is no longer finite.
    """
    learned = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=config.weight_decay)
    checkpoint = folder / "checkpoint.pt"
    step = 0
    if checkpoint.is_file():
        state: dict[str, Any] = torch.load(checkpoint, map_location=net.place.device, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        step = int(state["step"])

    def save() -> None:
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
        whole(checkpoint, lambda part: torch.save(state, part))

    net.train()
    net.trunk.eval()
    progress.start("teach", config.steps)
    progress.advance(step)
    with deferred_interrupt() as asked:
        try:
            while step < config.steps:
                asked.check()
                torch.manual_seed(config.seed * 1_000_003 + step)
                rate = 0.5 * (1.0 + math.cos(math.pi * step / config.steps)) * min(1.0, (step + 1) / _WARM_UP)
                optimiser.param_groups[0]["lr"] = config.learning_rate * rate
                loss = loss_of(net, views, batches(step), np.random.default_rng([config.seed, step, 1]))
                if not math.isfinite(loss.item()):
                    raise LeakscanError(
                        f"The loss is {loss.item()} at step {step:,}.", "Lower --learning-rate."
                    )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(learned, _CLIP)
                optimiser.step()
                step += 1
                progress.advance()
                if step % _SAVE_EVERY == 0:
                    save()
        except Interrupt:
            save()
            raise Stopped(
                f"Stopped after step {step:,} of {config.steps:,}; the checkpoint is saved.",
                "The same command goes on from there.",
            ) from None
    save()
    progress.finish()


def teach_look(
    manifests: Sequence[Path],
    folder: Path,
    config: LookConfig,
    encoder: str | None,
    cache: Path,
    workers: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Makes ``folder/look.safetensors`` and returns what was found.

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

    def read(split: str) -> tuple[Pack, npt.NDArray[np.float32], View]:
        pack = packed_films(manifests, split, Form((_PACKED_SIDE, _PACKED_SIDE)), cache, progress, workers)
        view = make_view(net, pack.films, _made(folder / split), 0, config.seed, progress)
        seen = packed_films(manifests, split, Form((SIDE, SIDE)), cache, progress, workers)
        return pack, encode_pack(reader, seen.films)[0], view

    train, prints, first = read(TRAIN)
    validation, val_prints, val_view = read(VALIDATION)
    views = [first] + [
        make_view(net, train.films, folder / TRAIN, number, config.seed, progress)
        for number in range(1, config.views)
    ]
    batches = LookBatches(train.subjects, prints, config.anchors, config.strangers, config.seed)
    teach(net, views, batches, config, folder, progress)
    save_look(net.cpu().eval(), folder / FILE)
    found = {
        "look": str(folder / FILE),
        **about,
        **now,
        "train_films": len(train.films),
        "val": look_figures(net, val_view, val_prints, validation.subjects),
    }
    write_json(folder / "summary.json", found)
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
    for name, value in asdict(LookConfig()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    config = LookConfig(**{name: given[name] for name in asdict(LookConfig())})
    folder: Path = given["output"]
    try:
        found = teach_look(
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
