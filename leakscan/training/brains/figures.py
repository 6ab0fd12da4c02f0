"""How well a brain network knows people again: what its card says, and what else is measured stands on.

People with one T1 are scanned again by the generator: ``mild`` moves the head, thickens slices to
4 mm, changes bias, noise and (for painted views) the contrast, and strips half of the skulls; ``harsh``
does all of it further. Their impostors are real. People with several real contrasts need no generator:
every pair of unequal contrast counts. Every person weighs the same; intervals resample people.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.synthetic.brains.generator import Manner
from leakscan.synthetic.brains.people import Source, read_people, read_volume
from leakscan.synthetic.brains.space import Pose
from leakscan.training.brains.average_brain import aligned_views
from leakscan.training.brains.labelled_heads import contrasts_of, held_people, read_heads

Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]
Figures = dict[str, list[float]]

MILD = Manner(
    pose=Pose(8, 8, 0, 0), bias=0.3, noise=0.05, thickest_mm=4, thick=0.7, blur=0.5, stripped=0.5, defaced=0,
    cropped=0, blobs=0,
)  # fmt: skip
HARSH = Manner(
    pose=Pose(15, 15, 0.015, 0.01), bias=0.6, noise=0.12, thickest_mm=7, thick=0.8, blur=1.2, stripped=0.5,
    cropped=0.12, blobs=0.2,
)  # fmt: skip
HELD = "val and calibration"
"""The name of the people whom gate and calibration come from; a card reports on others."""
_DRAWS = 500


@dataclass(frozen=True)
class Shown:
    """Aligned maps of volumes and whose they are.

    Attributes:
        maps: ``(n, d)`` tissues and edges in their place.
        fit: ``(n,)`` correlation with the average brain.
        subjects: ``(n,)`` whom each volume shows.
        contrasts: ``(n,)`` declared contrast of each volume.
    """

    maps: Floats
    fit: npt.NDArray[np.float32]
    subjects: Names
    contrasts: Names


@dataclass(frozen=True, kw_only=True)
class Rescans:
    """People as they were scanned once, and as a made-up scanner sees them again.

    Attributes:
        group: Whose scans they are, in words.
        manner: ``mild`` or ``harsh``.
        how: How far the new scans differ from clean ones.
        seed: The seed of the new scans.
        sources: The people, ``n`` of them.
        first: Their real scans.
        again: ``(n, d)`` aligned maps of the new scans.
    """

    group: str
    manner: str
    how: Manner
    seed: int
    sources: Sequence[Source]
    first: Shown
    again: Floats

    @property
    def files(self) -> list[Path]:
        """The files of the real scans."""
        return [s.t1 for s in self.sources if s.t1]


@dataclass(frozen=True)
class Contrasts:
    """People in several real contrasts.

    Attributes:
        group: Whose scans they are, in words.
        files: The ``n`` files.
        shown: What the network makes of them.
    """

    group: str
    files: Sequence[Path]
    shown: Shown


@torch.inference_mode()
def show(net: BrainNet, files: Sequence[Path], subjects: Sequence[str], contrasts: Sequence[str]) -> Shown:
    """Reads volumes as leakscan's pipeline would and aligns their maps.

    Args:
        net: The network, with its average brain.
        files: The ``n`` volumes.
        subjects: Whom each shows.
        contrasts: The contrast of each.

    Example::

        shown = show(net, [Path("ann.nii.gz"), Path("bea.nii.gz")], ["Ann", "Bea"], ["T1", "FLAIR"])
        prints = fingerprints(net, shown.maps)
    """
    maps, fits = [], []
    for volume in canonical_volumes(files):
        found, fit = net.aligned(torch.from_numpy(volume)[None, None])
        maps.append(found.numpy())
        fits.append(fit.numpy())
    return Shown(np.concatenate(maps), np.concatenate(fits), np.array(subjects), np.array(contrasts))


def canonical_volumes(files: Sequence[Path]) -> Iterator[Floats]:
    """The canonical array of each volume, as leakscan's pipeline makes it.

    Example::

        for volume in canonical_volumes([Path("ann.nii.gz"), Path("bea.nii.gz")]):
            print(volume.shape, volume.max())
    """
    for file in files:
        values, spacing = read_volume(file)
        yield canonical_volume(values.astype(np.float32), spacing, SHAPE, STEP_MM)


@torch.inference_mode()
def fingerprints(net: BrainNet, maps: Floats) -> Floats:
    """``(n, dim)`` fingerprints of ``(n, d)`` aligned maps.

    Example::

        shown = show(net, files, subjects, contrasts)
        prints = fingerprints(net, shown.maps)
        cosines = prints @ prints.T
    """
    return np.asarray(net.project(torch.from_numpy(maps)).numpy(), np.float32)


def held_out(manifests: Sequence[Path], same: Mapping[str, str]) -> list[tuple[str, list[Source]]]:
    """People with one T1 whom nothing was learned from, by the name of their group.

    Args:
        manifests: The tables of a run; those with several contrasts are left alone.
        same: Subject -> the subject who may be the same person.

    Example::

        for name, people in held_out([Path("heads.csv")], same={}):
            print(name, len(people), "people")  # val and calibration, then test
    """
    alone = [m for m in manifests if len(contrasts_of(m)) < 2]
    if not alone:
        return []
    heads = read_heads(alone, same)
    groups = [(HELD, held_people(heads)), ("test", [s for s in heads.get("test", []) if s.t1])]
    return [(name, people) for name, people in groups if len(people) > 1]


def rescans(net: BrainNet, name: str, sources: Sequence[Source]) -> Iterator[Rescans]:
    """Scans people again, mildly and harshly.

    Args:
        net: The network, with its average brain.
        name: The name of the group.
        sources: The people, each with a T1.

    Example::

        for scans in rescans(net, "test", people):
            scores = fingerprints(net, scans.again) @ fingerprints(net, scans.first.maps).T
            print(scans.manner, rescanned(scores))
    """
    people = read_people(sources)
    first = show(net, [s.t1 for s in sources if s.t1], people.subjects.tolist(), ["T1"] * len(people))
    group = f"{name}: {len(people)} people, fit of the originals {np.percentile(first.fit, 5):.2f} and more"
    for manner, how, seed in (("mild", MILD, 1), ("harsh", HARSH, 2)):
        yield Rescans(
            group=group,
            manner=manner,
            how=how,
            seed=seed,
            sources=sources,
            first=first,
            again=aligned_views(net, people, how, seed)[0],
        )


def several_contrasts(net: BrainNet, manifests: Sequence[Path]) -> Iterator[Contrasts]:
    """The volumes of every manifest whose people have several contrasts.

    Args:
        net: The network, with its average brain.
        manifests: The tables of a run; those with one contrast are left alone.

    Example::

        for found in several_contrasts(net, [Path("heads.csv")]):
            prints = fingerprints(net, found.shown.maps)
            print(found.group, across(prints @ prints.T, found.shown))
    """
    for manifest in manifests:
        if len(contrasts_of(manifest)) < 2:
            continue
        with manifest.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["contrast"] != "labels"]
        files = [manifest.parent / row["path"] for row in rows]
        shown = show(net, files, [r["subject_id"] for r in rows], [r["contrast"] for r in rows])
        group = f"{manifest.parent.name}: {len(rows)} volumes, {len(set(shown.subjects))} people"
        yield Contrasts(group, files, shown)


def card_figures(net: BrainNet, manifests: Sequence[Path], same: Mapping[str, str]) -> dict[str, Figures]:
    """What an encoder's card says: the figures of the fingerprint for people it was not calibrated on.

    Args:
        net: The network, with its metric.
        manifests: CSV tables with ``path``, ``subject_id``, ``contrast``, ``split``.
        same: Subject -> the subject who may be the same person.

    Returns:
        Group and manner -> figures.

    Example::

        card_figures(net, [Path("heads.csv")], same={})["test: 40 people mild"]["P@1"]
    """
    found: dict[str, Figures] = {}
    for name, people in held_out(manifests, same):
        for scans in rescans(net, name, people) if name != HELD else ():
            scores = fingerprints(net, scans.again) @ fingerprints(net, scans.first.maps).T
            found[f"{scans.group.split(',')[0]} {scans.manner}"] = rescanned(scores)
    for one in several_contrasts(net, manifests):
        prints = fingerprints(net, one.shown.maps)
        found[one.group.split(",")[0]] = across(prints @ prints.T, one.shown)
    return found


def rescanned(scores: Floats) -> Figures:
    """P@1, AUC and TAR at FMR 1e-2 of ``(n, n)`` scores, new scans of n people against n old ones.

    Returns:
        Figure -> value and the ends of its 95 % interval.

    Example::

        scores = fingerprints(net, scans.again) @ fingerprints(net, scans.first.maps).T
        rescanned(scores)["P@1"]  # such as [0.95, 0.88, 1.0]
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

    Args:
        scores: ``(n, n)`` scores of all volumes against each other.
        shown: Whose volumes they are, and of which contrast.

    Returns:
        Figure -> value; ``first`` holds how often, and of how many.

    Example:
        >>> who, how = np.array(["Ann", "Ann", "Bea", "Bea"]), np.array(["T1", "T2", "T1", "T2"])
        >>> shown = Shown(maps=np.zeros((4, 1)), fit=np.ones(4), subjects=who, contrasts=how)
        >>> own, other = np.full((2, 2), 0.8), np.full((2, 2), 0.3)
        >>> across(np.block([[own, other], [other, own]]), shown)["first"]  # right, each of four times
        [4, 4]
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
