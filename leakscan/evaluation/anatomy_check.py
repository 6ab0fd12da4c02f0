"""What a second look at the anatomy adds: ``python -m leakscan.evaluation.anatomy_check DATA``.

Fits the joint ratio on candidates of the val and calibration splits (pairs above the fingerprint's
score at FMR 1e-2) and reports on test: fingerprint alone, anatomy alone, both; on random impostor pairs
and on candidates; by the width at which films were found; and end to end, where a pair below the
candidates' threshold is rejected unseen. Prints JSON.

Impostor candidates are all those above FMR 1e-3 and a sample of the others, each of which stands for
several. Genuine pairs are at most six a subject, and a subject's pairs weigh 1 together.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from leakscan.decide.likelihood import JointEvidence, fit_joint
from leakscan.decide.verify.anatomy import AnatomyFeatures, compare_anatomy, describe_anatomy
from leakscan.evaluation.encoder_figures import encode_pack
from leakscan.evaluation.metrics import threshold_at_fmr
from leakscan.fingerprint.encoders.encoder import Encoder, TorchEncoder
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.training.pack import pack_manifest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CANDIDATES = 1e-2
_ALL_ABOVE = 1e-3
_FMRS = (1e-2, 1e-3, 2e-4, 1e-4, 1e-5)
_SUPPORT = 10  # impostor pairs that an FMR must stand for
_GENUINE_PER_SUBJECT = 6
_LARGE_PX = 224
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
_CLASSES = {"both at least 224 px": 2, "one at least 224 px": 1, "none at least 224 px": 0}


@dataclass(frozen=True)
class Chosen:
    """The pairs of one split that were looked at.

    Attributes:
        first: ``(n,)`` index of a film.
        second: likewise.
        cosine: ``(n,)`` similarity of their fingerprints.
        genuine: ``(n,)`` bool.
        weight: ``(n,)``; of genuine pairs 1 a subject, of impostor candidates the pairs each stands for.
        candidate: ``(n,)`` bool, above the threshold.
        random: ``(n,)`` bool, impostor pairs drawn from all.
        large: ``(n,)`` how many of the two films were found at 224 px or more.
        impostor_pairs: of the whole split, by ``large``.
    """

    first: Ints
    second: Ints
    cosine: Floats
    genuine: npt.NDArray[np.bool_]
    weight: Floats
    candidate: npt.NDArray[np.bool_]
    random: npt.NDArray[np.bool_]
    large: Ints
    impostor_pairs: Ints


def choose(
    prints: npt.NDArray[np.float32],
    subjects: npt.NDArray[np.str_],
    widths: Ints,
    sample: int,
    random: int,
    seed: int = 0,
) -> Chosen:
    """Picks the pairs of one split to look at.

    Args:
        prints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)``.
        widths: ``(n,)`` pixels at which each film was found.
        sample: impostor candidates below the score of FMR 1e-3 to draw.
        random: impostor pairs to draw from all.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    _, codes = np.unique(subjects, return_inverse=True)
    first, second = np.triu_indices(len(codes), k=1)
    cosine = (prints @ prints.T)[first, second].astype(np.float64)
    same = codes[first] == codes[second]
    large = (widths >= _LARGE_PX).astype(np.int64)
    impostors = np.sort(cosine[~same])
    low, high = (threshold_at_fmr(impostors, f) for f in (_CANDIDATES, _ALL_ABOVE))

    genuine = rng.permutation(np.flatnonzero(same))
    owner = codes[first[genuine]]
    order = np.argsort(owner, kind="stable")
    genuine, owner = genuine[order], owner[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    genuine, owner = genuine[rank < _GENUINE_PER_SUBJECT], owner[rank < _GENUINE_PER_SUBJECT]

    top = np.flatnonzero(~same & (cosine > high))
    middle = np.flatnonzero(~same & (cosine > low) & (cosine <= high))
    drawn = rng.choice(middle, min(sample, len(middle)), replace=False)
    other = np.flatnonzero(~same)
    anywhere = rng.choice(other, min(random, len(other)), replace=False)

    at = np.concatenate([genuine, top, drawn, anywhere])
    weight = np.concatenate(
        [
            1.0 / np.bincount(owner)[owner],
            np.ones(len(top)),
            np.full(len(drawn), len(middle) / max(len(drawn), 1)),
            np.ones(len(anywhere)),
        ]
    )
    kinds = np.repeat([0, 1, 1, 2], [len(genuine), len(top), len(drawn), len(anywhere)])
    return Chosen(
        first[at],
        second[at],
        cosine[at],
        kinds == 0,
        weight,
        (kinds == 1) | ((kinds == 0) & (cosine[at] > low)),
        kinds == 2,
        large[first[at]] + large[second[at]],
        np.bincount(large[first[other]] + large[second[other]], minlength=3),
    )


def measure(chosen: Chosen, paths: list[Path], workers: int) -> tuple[Floats, dict[str, float]]:
    """Anatomy scores and shared pixels ``(n, 2)`` of the chosen pairs, and what they cost."""
    needed = np.unique(np.concatenate([chosen.first, chosen.second]))
    place = np.zeros(len(paths), np.int64)
    place[needed] = np.arange(len(needed))
    pairs = np.stack([place[chosen.first], place[chosen.second]], axis=1)
    with ProcessPoolExecutor(workers) as pool:
        described = list(pool.map(_describe, [paths[i] for i in needed], chunksize=16))
    features = [f for f, _ in described]
    with ProcessPoolExecutor(workers, initializer=_FEATURES.extend, initargs=(features,)) as pool:
        blocks = list(pool.map(_compare, np.array_split(pairs, max(1, len(pairs) // 200))))
    seconds = sum(s for _, s in blocks)
    cost = {
        "ms_per_film": round(1e3 * float(np.mean([s for _, s in described])), 1),
        "ms_per_pair": round(1e3 * seconds / max(len(pairs), 1), 1),
        "kilobytes_per_film": round(
            float(np.mean([f.points.nbytes + f.descriptors.nbytes for f in features])) / 1e3, 1
        ),
    }
    return np.concatenate([b for b, _ in blocks]), cost


_FEATURES: list[AnatomyFeatures] = []
"""Of all films of a split, in the processes that compare."""


def _describe(path: Path) -> tuple[AnatomyFeatures, float]:
    cv2.setNumThreads(1)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    start = time.process_time()
    return describe_anatomy(pixels), time.process_time() - start


def _compare(pairs: Ints) -> tuple[Floats, float]:
    cv2.setNumThreads(1)
    start = time.process_time()
    found = [compare_anatomy(_FEATURES[i], _FEATURES[j]) for i, j in pairs]
    return np.array([(m.score, m.shared_px) for m in found], np.float64), time.process_time() - start


def rates(genuine: Floats, weight: Floats, impostor: Floats, each: Floats, pairs: float) -> dict[str, Any]:
    """AUC and TAR of one score.

    Args:
        genuine: ``(g,)`` scores; minus infinity for pairs rejected before.
        weight: ``(g,)``.
        impostor: ``(i,)`` scores.
        each: ``(i,)`` how many pairs each stands for.
        pairs: impostor pairs in all, those rejected before included.

    Returns:
        ``auc`` (only where all impostor pairs are there) and ``tar_at_fmr`` where at least ten impostor
        pairs, as they were measured, lie above the threshold.
    """
    order = np.argsort(impostor, kind="stable")
    ordered, mass = impostor[order], np.concatenate([[0.0], np.cumsum(each[order])])
    out: dict[str, Any] = {}
    if mass[-1] >= 0.999 * pairs:
        wins = sum(mass[np.searchsorted(ordered, genuine, side=side)] for side in _SIDES) / (2 * mass[-1])
        out["auc"] = round(float(np.average(wins, weights=weight)), 4)
    ordered, above = ordered[::-1], np.cumsum(each[order][::-1])
    tar = {}
    for fmr in _FMRS:
        accepted = int(np.searchsorted(above, fmr * pairs, side="right"))
        if accepted < _SUPPORT:
            continue
        threshold = ordered[accepted] if accepted < len(ordered) else -np.inf
        tar[f"{fmr:g}"] = round(float(np.average(genuine > threshold, weights=weight)), 4)
    out["tar_at_fmr"] = tar
    return out


def figures(chosen: Chosen, anatomy: Floats, joint: JointEvidence, large: int | None) -> dict[str, Any]:
    """All figures of one split, or of its pairs of one width class."""
    part = np.ones(len(chosen.cosine), bool) if large is None else chosen.large == large
    pairs = float(chosen.impostor_pairs.sum() if large is None else chosen.impostor_pairs[large])
    scores = {
        "fingerprint": chosen.cosine,
        "anatomy": anatomy[:, 0],
        "joint": joint.llr(chosen.cosine, anatomy),
    }
    genuine, hard = part & chosen.genuine, part & chosen.candidate & ~chosen.genuine
    anywhere, passed = part & chosen.random, part & chosen.genuine & chosen.candidate
    counts = {
        "genuine_subjects": round(float(chosen.weight[genuine].sum()), 1),
        "genuine_that_are_candidates": round(
            float(chosen.weight[passed].sum() / max(chosen.weight[genuine].sum(), 1e-9)), 4
        ),
        "impostor_pairs": int(pairs),
        "random_impostors": int(anywhere.sum()),
        "impostor_candidates_looked_at": int(hard.sum()),
        "that_stand_for": int(chosen.weight[hard].sum()),
    }
    if not (genuine.any() and passed.any() and hard.any() and anywhere.any()):
        return counts
    out: dict[str, Any] = {**counts, "random": {}, "candidates": {}, "end_to_end": {}}
    for name, score in scores.items():
        weight, each = chosen.weight, chosen.weight[hard]
        out["random"][name] = rates(
            score[genuine], weight[genuine], score[anywhere], weight[anywhere], float(anywhere.sum())
        )
        out["candidates"][name] = rates(score[passed], weight[passed], score[hard], each, float(each.sum()))
        final = np.where(chosen.candidate, score, -np.inf)[genuine]
        out["end_to_end"][name] = rates(final, weight[genuine], score[hard], each, pairs)
    return out


def report(data: Path, encoder: Encoder, sample: int, random: int, workers: int) -> dict[str, Any]:
    """All figures.

    Args:
        data: holds ``cxr/nih`` with its manifest.
        encoder: for chest radiographs.
        sample: see :func:`choose`; for the test split, and half of it for each split of the fit.
        random: likewise.
        workers: processes.
    """
    manifest = data / "cxr/nih/manifest.csv"
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    looked: dict[str, tuple[Chosen, Floats]] = {}
    out: dict[str, Any] = {"encoder": encoder.card.encoder}
    for split in ("val", "calibration", "test"):
        pack = pack_manifest(manifest, {split}, encoder.card.side, workers)
        prints, _ = encode_pack(encoder, pack.films)
        share = 1 if split == "test" else 2
        chosen = choose(prints, pack.subjects, pack.widths, sample // share, random // share)
        paths = [manifest.parent / row["path"] for row in rows if row["split"] == split]
        anatomy, cost = measure(chosen, paths, workers)
        looked[split] = (chosen, anatomy)
        out[split] = {"cost": cost}
    joint = fit_on([looked["val"], looked["calibration"]])
    out["joint"] = asdict(joint)
    for split, (chosen, anatomy) in looked.items():
        out[split]["all widths"] = figures(chosen, anatomy, joint, None)
        if split == "test":
            for name, large in _CLASSES.items():
                out[split][name] = figures(chosen, anatomy, joint, large)
    return out


def fit_on(splits: list[tuple[Chosen, Floats]]) -> JointEvidence:
    """The joint ratio of the candidates of some splits."""
    parts = [
        (c.cosine[c.candidate], anatomy[c.candidate], c.genuine[c.candidate], c.weight[c.candidate])
        for c, anatomy in splits
    ]
    return fit_joint(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with cxr/")
    parser.add_argument("--sample", type=int, default=8000, help="impostor candidates drawn below FMR 1e-3")
    parser.add_argument("--random", type=int, default=5000, help="impostor pairs drawn from all")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    entry = card_for("chest_radiograph")
    if entry is None:
        parser.error("there is no encoder for chest radiographs")
    result = report(
        arguments.data, TorchEncoder(*entry), arguments.sample, arguments.random, arguments.workers
    )
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
