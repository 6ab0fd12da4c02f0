"""The job behind ``leakscan train``: from manifests to a run folder, and on to a model folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakscan.errors import SourceError, UsageError
from leakscan.setting_words import nearest
from leakscan.training.films.config import TrainConfig, shortfalls
from leakscan.types import Progress

_EXTRA = ("pytorch_metric_learning", "matplotlib", "sklearn")
_EXTRA_3D = ("monai",)


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What a user asks of a training run beside its settings.

    Attributes:
        manifests: Tables with ``path, subject_id, split``.
        run: The folder to write, or to go on in.
        start: The start weights, see :func:`leakscan.training.films.start.start_from`; ``None`` takes
            ImageNet weights where there are some and the preset does not train from scratch.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: Threads of torch; ``None`` leaves it to torch.
        workers: Decoding processes; one per core if not given.
        cache: The folder for packed films; ``None`` is ``RUN/packed``.
        ship: The name of the encoder to make of the best weights; ``None`` makes none.
    """

    manifests: tuple[Path, ...]
    run: Path
    start: str | None = None
    device: str = "auto"
    threads: int | None = None
    workers: int | None = None
    cache: Path | None = None
    ship: str | None = None


def train_manifests(job: TrainJob, config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """Trains, or goes on training, and returns what ``summary.json`` says.

    Everything that can be refused is refused before a film is decoded.

    Args:
        job: The manifests, the folder and what runs it.
        config: The settings.
        progress: Receives how far the work is.

    Raises:
        UsageError: The arguments, settings or run folder do not fit.
        SourceError: Nothing can be learned from these manifests, or not fairly.
        Stopped: The user pressed Ctrl-C; the same call goes on.

    Example::

        job = TrainJob(manifests=(Path("films.csv"),), run=Path("run"))
        train_manifests(job, preset("fingerprint-2d"), Silent())
    """
    needed = (*_EXTRA, *(_EXTRA_3D if config.shape else ()))
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(f"Training needs {', '.join(missing)}.", "pip install 'leakscan[train]'")
    from leakscan.sources.split_names import TRAIN, VALIDATION
    from leakscan.training.films.archive import counts_of, data_key, packed_films
    from leakscan.training.films.lesson import FILM_METRICS, FilmLesson
    from leakscan.training.films.manifests import check_contrasts, check_manifests
    from leakscan.training.films.start import default_start, start_from
    from leakscan.training.trainer import Trainer, read_rows
    from leakscan.training.training_folder import SUMMARY, claim, write_json

    device = _device(job.device, job.threads)
    _check_architecture(config.architecture)
    listing = check_manifests(job.manifests)
    if config.shape and job.ship is not None:
        raise UsageError(
            f"No encoder can be made of {config.preset}.",
            "Take the preset fingerprint-3d, or do not ship: the weights lie in the run folder.",
        )
    if config.shape and config.apart >= 1:
        check_contrasts(job.manifests)
    if job.ship is not None:
        from leakscan.training.shipping.ship_run import check_shippable

        check_shippable(job.ship, listing.subjects)
    start = job.start or default_start(config.architecture, config.preset.startswith("paper"))
    initialise = start_from(start, config.architecture)
    claim(job.run, config, {"films": data_key(job.manifests, config.form), "start": start})
    cache = job.cache or job.run / "packed"
    train_pack, val_pack = (
        packed_films(job.manifests, split, config.form, cache, progress, job.workers)
        for split in (TRAIN, VALIDATION)
    )
    _check_readable(train_pack.subjects.tolist(), "train")
    _check_readable(val_pack.subjects.tolist(), "val")
    Trainer(FilmLesson(config, train_pack, val_pack, initialise, device), job.run, progress).run()
    rows = read_rows(job.run, FILM_METRICS, config.steps)
    best = [row for row in rows if row["best"]][-1:]
    summary: dict[str, Any] = {
        "run": str(job.run),
        "preset": config.preset,
        "architecture": config.architecture,
        "start": start,
        "device": str(device),
        "steps": config.steps,
        "films_per_step": config.films,
        **counts_of(listing.images, train_pack, val_pack),
        "without_subject": listing.unknown,
        "best": best[0] if best else None,
        "last": rows[-1] if rows else None,
        "words": [*_words(config), *_unread_words(len(train_pack.unread) + len(val_pack.unread), cache)],
    }
    if job.ship is not None:
        from leakscan.training.shipping.ship_run import ship_run

        progress.start("ship", None)
        summary["shipped"] = ship_run(job.run, job.manifests, job.ship, summary, progress, job.workers)
        progress.finish()
    write_json(job.run / SUMMARY, summary)
    return summary


def _words(config: TrainConfig) -> list[str]:
    """Sentences that keep a shortened run from being taken for its preset."""
    short = shortfalls(config)
    words = []
    steps = short.pop("steps", None)
    if steps is not None and steps[0] < steps[1]:
        words.append(
            f"The preset {config.preset} was not run to its end: {steps[0]:,} of its {steps[1]:,} steps."
        )
    if short:
        listed = "; ".join(f"{name} is {a!r}, not {b!r}" for name, (a, b) in short.items())
        words.append(f"Its settings were changed: {listed}.")
    return words


def _unread_words(unread: int, cache: Path) -> list[str]:
    if not unread:
        return []
    what = "The film that could not be read stays" if unread == 1 else "The films that could not be read stay"
    rest = f"left out of every run with the packed films in {cache}; without it all are read anew."
    return [f"{what} {rest}"]


def _check_readable(subjects: Sequence[str], split: str) -> None:
    if len(set(subjects)) == len(subjects):
        raise SourceError(
            f"Of the split {split!r}, no subject has two images that can be read.",
            "The run folder's packed/*.parquet says of every image why not.",
        )
    if len(set(subjects)) < 2:
        raise SourceError(f"Of the split {split!r}, one subject alone has images that can be read.")


def _check_architecture(name: str) -> None:
    from leakscan.fingerprint.encoders.networks import ARCHITECTURES

    if name not in ARCHITECTURES:
        raise UsageError(
            f"There is no backbone {name!r}.",
            nearest(name, ARCHITECTURES, "Backbones"),
        )


def _device(wanted: str, threads: int | None) -> Any:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted != "cpu" and not (wanted == "cuda" or wanted.removeprefix("cuda:").isdigit()):
        raise UsageError(f"The device {wanted} is none of auto, cpu, cuda, cuda:0 and so on.")
    if wanted != "cpu":
        number = int(wanted.partition(":")[2] or 0)
        if not torch.cuda.is_available() or number >= torch.cuda.device_count():
            raise UsageError(
                f"There is no device {wanted} here.", "Take the device cpu, or install torch with CUDA."
            )
    return torch.device(wanted)
