"""What each idea of the chest recipe brings: ``python -m leakscan.research.ablation MANIFEST... -o FOLDER``.

Every idea is a short run that differs from one base in one thing: a part left out, put in, or exchanged. The
base is run with several seeds; ideas are compared with the mean of those runs, and the runs with each other
show what luck moves. Figures are of ``val``, at the end of each run. Runs are folders of their own: the same
command goes on where it stopped, and prints the table again once all are done. Short runs say what helps
early; what helps in the end may be something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.error_rates import auc, n_way_one_shot, pair_scores, threshold_at_fmr
from leakscan.errors import SourceError, UsageError
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.research.command import run_command
from leakscan.setting_words import nearest
from leakscan.sources.split_names import VALIDATION
from leakscan.subject_bootstrap import Estimate, per_subject, resampled_ratio, subject_draws
from leakscan.training.films.archive import packed_films
from leakscan.training.films.config import TrainConfig, preset
from leakscan.training.films.job import TrainJob, train_manifests
from leakscan.training.films.manifests import check_manifests
from leakscan.training.films.pack import Pack
from leakscan.training.films.start import IMAGENET, NONE, load_weights
from leakscan.training.films.validation import embed
from leakscan.training.settings import changed
from leakscan.types import Progress

BASE = "base"
FMR = 1e-2
"""The false match rate of the true accept rate: after a short run there is not much to see at lower ones."""

_PAIRS_BEYOND = 10  # impostor pairs that must stand behind that rate

_WAYS = 20

_Settings = Mapping[str, object]
_NO_SOFTMAX: _Settings = {"softmax": 0, "hard": 0}
_TRIPLET: _Settings = {"contrastive": 0, **_NO_SOFTMAX}

IDEAS: dict[str, _Settings] = {
    "no ImageNet start": {"start": NONE},
    "warm start from the shipped weights": {"start": "cxr-lite0"},
    "no margin softmax, so no look-alikes": _NO_SOFTMAX,
    "no triplet term": {"triplet": 0},
    "no NT-Xent": {"contrastive": 0},
    "triplet term alone": _TRIPLET,
    "triplet term alone, between raw embeddings, margin 4": {**_TRIPLET, "normalised": "false", "margin": 4},
    "supervised contrastive in place of NT-Xent": {"contrastive": 0, "supcon": 1},
    "multi-similarity besides": {"multi_similarity": 0.5},
    "cross-batch memory of 2,048": {"memory": 2048},
    "moving average 0.98": {"ema": 0.98},
    "no subjects of one film": {"singles": 0},
    "no look-alikes in a batch": {"hard": 0},
    "look-alikes by sex, view and age": {"hard": 0.25, "alike": 0.25},
    "partners of any source width": {"apart": 0},
    "4 films of a subject, half as many subjects": {"films_per_subject": 4, "pairs": 0.5},
    "small turns alone as augmentation": {"augmentation": "affine"},
    "half of the films hardly altered": {"mild": 0.5},
    "a twentieth of the films as negatives": {"negatives": 0.05},
    "letters in a third of the films": {"letters": 0.33},
    "a third of the films as JPEG": {"jpeg": 0.33},
    "GeM pooling": {"architecture": "efficientnet_lite0_gem"},
    "places weighed in pooling": {"architecture": "efficientnet_lite0_placed"},
}
"""Idea -> settings that differ from the base; ``start`` is that of a run, ``pairs`` a share of the base's."""


@dataclass(frozen=True)
class Brought:
    """What a run came to on ``val``, subjects weighted equally; or several runs, on average.

    Attributes:
        name: The name of the run.
        auc: How often a genuine pair scores higher than an impostor pair.
        one_shot: 20-way 1-shot, with 20 subjects or more.
        tar: ``(s,)`` true accept rate at ``FMR`` of each subject with two films.
        first: ``(s,)`` share of each such subject's films whose nearest other film is right.
    """

    name: str
    auc: float
    one_shot: float | None
    tar: npt.NDArray[np.float64]
    first: npt.NDArray[np.float64]

    def line(self, base: Brought) -> dict[str, object]:
        """A row of the table: figures, and how far they are from the base's.

        The 95 % intervals are of subjects alone; another training run would move the figures as well.
        """
        return {
            "run": self.name,
            "auc": round(self.auc, 4),
            "20_way_1_shot": None if self.one_shot is None else round(self.one_shot, 3),
            "tar": round(float(self.tar.mean()), 3),
            "tar_gain": _rounded(_gain(self.tar, base.tar)),
            "p_at_1": round(float(self.first.mean()), 3),
            "p_at_1_gain": _rounded(_gain(self.first, base.first)),
        }


def ablate(
    manifests: Sequence[Path],
    output: Path,
    base: TrainConfig,
    ideas: Sequence[str],
    seeds: int,
    progress: Progress,
) -> list[dict[str, object]]:
    """Trains the base and every idea, or goes on, and returns the rows of the table.

    Args:
        manifests: Tables as for ``leakscan train``.
        output: The folder of the runs and their packed films.
        base: The settings that all runs share.
        ideas: The ideas to measure, keys of ``IDEAS``.
        seeds: The number of runs of the base, with the seeds ``base.seed`` and up; the first is every idea's.
        progress: Receives how far the work is.

    Returns:
        The base on average, then each of its runs, then the ideas.

    Raises:
        UsageError: An idea is unknown, or a run was begun with other settings.
        SourceError: Nothing can be learned from the manifests, or ``val`` has too few films to measure it on.
        Stopped: The user pressed Ctrl-C; the same call goes on.

    Example::

        base = changed(preset("fingerprint-2d"), {"steps": 150, "side": 80})
        rows = ablate([Path("films.csv")], Path("ideas"), base, ["GeM pooling"], seeds=3, progress=Silent())
        rows[-1]["tar_gain"]  # what the idea adds to the base's true accept rate: [gain, low, high]
    """
    unknown = [idea for idea in ideas if idea not in IDEAS]
    if unknown:
        raise UsageError(f"There is no idea {unknown[0]!r}.", nearest(unknown[0], IDEAS, "Ideas"))
    if seeds < 1:
        raise UsageError("The base needs one seed at least.")
    runs = {
        f"{BASE}, seed {seed}": run_of(base, {"seed": seed}) for seed in range(base.seed, base.seed + seeds)
    }
    runs |= {idea: run_of(base, IDEAS[idea]) for idea in ideas}
    check_manifests(manifests)
    validation = packed_films(manifests, VALIDATION, base.form, output / "packed", progress)
    strangers = len(pair_scores(np.zeros((len(validation.films), 1)), validation.subjects).impostor)
    if strangers * FMR < _PAIRS_BEYOND:
        raise SourceError(
            f"Films of different subjects in val make {strangers} pairs of {_PAIRS_BEYOND / FMR:.0f} needed.",
            "Give more subjects the split val.",
        )
    found = []
    for name, (start, config) in runs.items():
        # Runs of other lengths are other runs: the folder of a longer one holds weights of its end.
        run = output / f"{config.steps}-steps" / name.replace(" ", "-").replace(",", "")
        job = TrainJob(manifests=tuple(manifests), run=run, start=start, cache=output / "packed")
        train_manifests(job, config, progress)
        found.append(_measured(name, config, run, validation))
    average = _mean(found[:seeds])
    return [one.line(average) for one in (average, *found)]


def run_of(base: TrainConfig, settings: Mapping[str, object]) -> tuple[str, TrainConfig]:
    """Start and config of a run that differs from the base in these settings.

    Example:
        >>> base = preset("fingerprint-2d")
        >>> start, config = run_of(base, IDEAS["4 films of a subject, half as many subjects"])
        >>> start, config.films_per_subject, config.pairs / base.pairs
        ('imagenet', 4, 0.5)
    """
    own = dict(settings)
    start = str(own.pop("start", IMAGENET))
    if "pairs" in own:
        own["pairs"] = round(base.pairs * float(str(own["pairs"])))
    return start, changed(base, own)


def _measured(name: str, config: TrainConfig, run: Path, pack: Pack) -> Brought:
    net = ARCHITECTURES[config.architecture](FINGERPRINT_DIM)
    load_weights(net, run / "last.safetensors", config.architecture)
    prints = embed(net.eval(), pack.films, config.side)
    pairs = pair_scores(prints, pack.subjects)
    passed = pairs.genuine > threshold_at_fmr(pairs.impostor, FMR)
    _, codes, counts = np.unique(pack.subjects, return_inverse=True, return_counts=True)
    scores = prints @ prints.T
    np.fill_diagonal(scores, -np.inf)
    right = codes[scores.argmax(axis=1)] == codes
    several = counts > 1
    return Brought(
        name,
        auc(pairs),
        n_way_one_shot(prints, pack.subjects, _WAYS) if len(counts) >= _WAYS else None,
        per_subject(pairs.owner, pairs.weight * passed, len(counts))[several],
        (per_subject(codes, right.astype(np.float64), len(counts)) / counts)[several],
    )


def _mean(runs: Sequence[Brought]) -> Brought:
    shots = [run.one_shot for run in runs if run.one_shot is not None]
    return Brought(
        f"{BASE}, mean of {len(runs)}",
        float(np.mean([run.auc for run in runs])),
        float(np.mean(shots)) if shots else None,
        np.mean([run.tar for run in runs], axis=0),
        np.mean([run.first for run in runs], axis=0),
    )


def _gain(one: npt.NDArray[np.float64], base: npt.NDArray[np.float64]) -> Estimate:
    """Mean difference over the same subjects; resampling subjects gives its interval, thresholds held."""
    return resampled_ratio(one - base, np.ones(len(one)), subject_draws(len(one)))


def _rounded(gain: Estimate) -> list[float]:
    return [round(value, 3) for value in (gain.value, gain.low, gain.high)]


def ablation(
    manifests: Annotated[list[Path], typer.Argument(help="Tables with path, subject_id and split.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the runs.")],
    steps: Annotated[int, typer.Option("--steps", help="Steps of every run.")] = 150,
    side: Annotated[int, typer.Option("--side", help="Side of the films in pixels.")] = 80,
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of the base.")] = 3,
    idea: Annotated[
        list[str] | None, typer.Option("--idea", help="An idea; may be repeated. Default: all.")
    ] = None,
) -> None:
    """Train ideas one by one against the same base, and print what each brought as JSON.

    Example: python -m leakscan.research.ablation films.csv -o ideas --idea "GeM pooling"
    """
    base = changed(
        preset("fingerprint-2d"),
        {"steps": steps, "side": side, "evaluate_every": steps, "decay": 0.5, "ema": 0},
    )
    with Output().progress() as progress:
        rows = ablate(manifests, output, base, idea or list(IDEAS), seeds, progress)
    Output(as_json=True).data({"base": base.model_dump(), "fmr": FMR, "runs": rows})


if __name__ == "__main__":
    run_command(ablation)
