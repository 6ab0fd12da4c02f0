"""How well a brain network knows people again, beside what needs no metric.

``python -m leakscan.training.brains.figures brain.safetensors MANIFEST...``

People with one T1 are scanned again by the generator: ``mild`` moves the head, thickens slices to
4 mm, changes bias, noise and (for painted views) the contrast, and strips half of the skulls; ``harsh``
does all of it further. Their impostors are real. People with several real contrasts need no generator:
every pair of unequal contrast counts. Every person weighs the same; intervals resample people.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from leakscan.evaluation.brain_baselines import GreySystem, unit_rows
from leakscan.fingerprint.encoders.brain.brain_encoder import brain_net
from leakscan.fingerprint.encoders.brain.brain_net import MAP_CHANNELS, BrainNet
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.synthetic.brains.generator import Manner
from leakscan.synthetic.brains.people import Source, read_people, read_volume
from leakscan.synthetic.brains.space import Pose
from leakscan.training.brains.average_brain import aligned_views, images_of
from leakscan.training.brains.fold_figures import LOOKED, looked_at, place_all
from leakscan.training.brains.labelled_heads import read_heads

Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]
Figures = dict[str, list[float]]
Measured = tuple[str, str, str, Figures]
"""Whose volumes, in which manner made, by which system, with what result."""

MILD = Manner(
    pose=Pose(8, 8, 0, 0), bias=0.3, noise=0.05, thickest_mm=4, thick=0.7, blur=0.5, stripped=0.5, defaced=0,
    cropped=0, blobs=0,
)  # fmt: skip
HARSH = Manner(
    pose=Pose(15, 15, 0.015, 0.01), bias=0.6, noise=0.12, thickest_mm=7, thick=0.8, blur=1.2, stripped=0.5,
    cropped=0.12, blobs=0.2,
)  # fmt: skip
GREYS = "aligned grey levels, no training"
_DRAWS = 500


@dataclass(frozen=True)
class Shown:
    """Aligned maps of volumes and whose they are.

    Attributes:
        maps: ``(n, d)`` tissues and edges in their place.
        fit: ``(n,)`` correlation with the average brain.
        subjects: ``(n,)``.
        contrasts: ``(n,)``.
    """

    maps: Floats
    fit: npt.NDArray[np.float32]
    subjects: Names
    contrasts: Names


@torch.inference_mode()
def show(net: BrainNet, files: Sequence[Path], subjects: Sequence[str], contrasts: Sequence[str]) -> Shown:
    """Reads volumes as leakscan's pipeline would and aligns their maps."""
    maps, fits = [], []
    for volume in _canonical(files):
        found, fit = net.aligned(torch.from_numpy(volume)[None, None])
        maps.append(found.numpy())
        fits.append(fit.numpy())
    return Shown(np.concatenate(maps), np.concatenate(fits), np.array(subjects), np.array(contrasts))


def systems(net: BrainNet) -> dict[str, Callable[[Floats], Floats]]:
    """What is compared: tissues and edges in their place to vectors of length 1."""
    dim = len(net.axes)

    def unit(vectors: Floats) -> Floats:
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))

    def tissues(known: Floats) -> Floats:
        return net.centred(torch.from_numpy(known))[0].numpy()

    def prints(known: Floats) -> Floats:
        return net.project(torch.from_numpy(known)).numpy()

    return {
        "fingerprint": prints,
        "its edges alone": lambda known: unit(prints(known)[:, dim:]),
        "its tissues alone": lambda known: unit(prints(known)[:, :dim]),
        "aligned maps, no metric": lambda known: unit(tissues(known)),
        "silhouette of the brain": lambda known: unit(
            tissues(known).reshape(len(known), MAP_CHANNELS, -1).sum(axis=1)
        ),
    }


def rescanned(scores: Floats) -> Figures:
    """P@1, AUC and TAR at FMR 1e-2 of ``(n, n)`` scores, new scans of n people against n old ones.

    Returns:
        Figure -> value and the ends of its 95 % interval.
    """

    def figures(who: npt.NDArray[np.int64]) -> tuple[float, float, float]:
        own = np.diag(scores)[who]
        strangers = scores[np.ix_(who, who)][who[:, None] != who[None]]
        first = float((scores.argmax(axis=1) == np.arange(len(scores)))[who].mean())
        order = np.sort(strangers)
        below = (np.searchsorted(order, own, "left") + np.searchsorted(order, own, "right")) / 2
        return first, float(below.mean() / len(order)), float((own > np.quantile(order, 0.99)).mean())

    rng = np.random.default_rng(0)
    n = len(scores)
    draws = np.array([figures(rng.integers(0, n, n)) for _ in range(_DRAWS)])
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    found = np.stack([figures(np.arange(n)), low, high], axis=1).round(4)
    return dict(zip(("P@1", "AUC", "TAR at 1e-2"), found.tolist(), strict=True))


def across(scores: Floats, shown: Shown) -> Figures:
    """AUC of pairs of unequal contrast, and how often another contrast of a person comes first.

    Returns:
        Figure -> value; of ``first``, how often and of how many.
    """
    unequal = shown.contrasts[:, None] != shown.contrasts[None]
    same = shown.subjects[:, None] == shown.subjects[None]
    hits, asked = 0, 0
    for i in range(len(scores)):
        for contrast in np.unique(shown.contrasts[unequal[i] & same[i]]):
            gallery = np.flatnonzero(shown.contrasts == contrast)
            hits += bool(same[i, gallery[scores[i, gallery].argmax()]])
            asked += 1
    upper = np.triu(np.ones_like(same), 1)
    apart, all_pairs = (_rank(scores[upper & same & w], scores[upper & ~same & w]) for w in (unequal, True))
    return {
        "AUC across contrasts": [round(apart, 4)],
        "AUC over all pairs": [round(all_pairs, 4)],
        "first": [hits, asked],
    }


def _rank(genuine: Floats, impostor: Floats) -> float:
    """Area under the curve: how often a genuine pair scores higher than an impostor pair."""
    order = np.sort(impostor)
    below = np.searchsorted(order, genuine, "left") + np.searchsorted(order, genuine, "right")
    return float(below.mean() / 2 / len(order))


def measure(
    net: BrainNet,
    manifests: Sequence[Path],
    same: Mapping[str, str],
    greys: bool = False,
    looks: bool = False,
) -> Iterator[Measured]:
    """Figures of every system on every set: rescanned people first, then those with several contrasts.

    Args:
        net: with its metric.
        manifests: CSV with ``path``, ``subject_id``, ``contrast``, ``split``.
        same: subject -> the subject that may be the same person.
        greys: also register grey levels, which takes a second or two for each volume.
        looks: also look a second time at the nearest of made-up new scans, half a second each.
    """
    baseline = GreySystem(GREYS, SHAPE[0], net.template) if greys else None
    several = [m for m in manifests if contrasts(m) > 1]
    alone = [m for m in manifests if m not in several]
    if alone:
        heads = read_heads(alone, same)
        held = [*heads.get("val", []), *heads.get("calibration", [])]
        for name, sources in (("val and calibration", held), ("test", heads.get("test", []))):
            people = [s for s in sources if s.t1]
            if len(people) > 1:
                yield from _rescans(net, name, people, baseline, looks)
    for manifest in several:
        yield from _contrasts_of(net, manifest, baseline)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(prog="python -m leakscan.training.brains.figures", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--same", action="append", default=[], metavar="A=B", help="may be one person")
    parser.add_argument("--greys", action="store_true", help="also a baseline that registers grey levels")
    parser.add_argument("--looks", action="store_true", help="also the second look at the nearest")
    given = parser.parse_args()
    net = brain_net(load_file(given.weights))
    same = dict(pair.split("=", 1) for pair in given.same)
    before = ""
    for group, how, system, found in measure(net, given.manifests, same, given.greys, given.looks):
        if group != before:
            print(group)
            before = group
        print(f"  {how:6} {system:33} {_said(found)}", flush=True)


def _said(found: Figures) -> str:
    parts = []
    for name, values in found.items():
        if name == "first":
            parts.append(f"first {values[0]} of {values[1]}")
        else:
            ends = f" ({values[1]:.3f} to {values[2]:.3f})" if len(values) == 3 else ""
            parts.append(f"{name} {values[0]:.3f}{ends}")
    return ", ".join(parts)


def contrasts(manifest: Path) -> int:
    """How many contrasts of people's heads a manifest names."""
    return len({row["contrast"] for row in _rows(manifest)} - {"labels"})


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _rescans(
    net: BrainNet, name: str, sources: Sequence[Source], baseline: GreySystem | None, looks: bool
) -> Iterator[Measured]:
    people = read_people(sources)
    files = [s.t1 for s in sources if s.t1]
    first = show(net, files, people.subjects.tolist(), ["T1"] * len(people))
    before = _registered(baseline, _canonical(files))
    group = f"{name}: {len(people)} people, fit of the originals {np.percentile(first.fit, 5):.2f} and more"
    for manner, how, seed in (("mild", MILD, 1), ("harsh", HARSH, 2)):
        again, _ = aligned_views(net, people, how, seed)
        for system, vectors in systems(net).items():
            yield group, manner, system, rescanned(vectors(again) @ vectors(first.maps).T)
        if looks:
            old = place_all(net, (torch.from_numpy(v)[None] for v in _canonical(files)))
            new = place_all(net, (v for images in images_of(people, how, seed) for v in images))
            scores = systems(net)["fingerprint"](again) @ systems(net)["fingerprint"](first.maps).T
            for system, found in zip(
                ("second look", "fingerprint"), looked_at(net, old, new, scores), strict=True
            ):
                yield group, manner, f"{system} of the {LOOKED} nearest", found
        if before is not None:
            images = torch.cat(list(images_of(people, how, seed)))[:, 0].numpy()
            after = _registered(baseline, images)
            yield group, manner, GREYS, rescanned(after @ before.T)


def _contrasts_of(net: BrainNet, manifest: Path, baseline: GreySystem | None) -> Iterator[Measured]:
    rows = [row for row in _rows(manifest) if row["contrast"] != "labels"]
    files = [manifest.parent / row["path"] for row in rows]
    shown = show(net, files, [r["subject_id"] for r in rows], [r["contrast"] for r in rows])
    group = f"{manifest.parent.name}: {len(rows)} volumes, {len(set(shown.subjects))} people"
    for system, vectors in systems(net).items():
        found = vectors(shown.maps)
        yield group, "", system, across(found @ found.T, shown)
    registered = _registered(baseline, _canonical(files))
    if registered is not None:
        yield group, "", GREYS, across(registered @ registered.T, shown)


def _registered(baseline: GreySystem | None, volumes: Iterable[Floats]) -> Any:
    return None if baseline is None else unit_rows(np.stack([baseline.aligned(v) for v in volumes]))


def _canonical(files: Sequence[Path]) -> Iterator[Floats]:
    for file in files:
        values, spacing = read_volume(file)
        yield canonical_volume(values.astype(np.float32), spacing, SHAPE, STEP_MM)


if __name__ == "__main__":
    main()
