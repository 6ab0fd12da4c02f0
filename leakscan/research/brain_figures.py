"""How well a brain network knows people again, beside what needs no metric.

``python -m leakscan.research.brain_figures brain.safetensors MANIFEST...`` prints one table: people with one
T1, scanned again by the generator (mildly, then harshly), and people with several real contrasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import typer
from safetensors.torch import load_file

from leakscan.cli.output import Output
from leakscan.evaluation.brain_baselines import GreySystem, unit_rows
from leakscan.fingerprint.encoders.brain.brain_encoder import brain_net
from leakscan.fingerprint.encoders.brain.brain_net import MAP_CHANNELS, BrainNet
from leakscan.fingerprint.preprocess.volume import SHAPE
from leakscan.research.command import run_command
from leakscan.research.fold_figures import ALIGNED, align_nearest, place_all
from leakscan.synthetic.brains.people import read_people
from leakscan.training.brains.average_brain import images_of
from leakscan.training.brains.figures import (
    Contrasts,
    Figures,
    Rescans,
    across,
    canonical_volumes,
    fingerprints,
    held_out,
    rescanned,
    rescans,
    several_contrasts,
)
from leakscan.training.settings import pairs_of

Floats = npt.NDArray[np.float32]

GREYS = "aligned grey levels, no training"


class Measured(NamedTuple):
    """One line of the table.

    Attributes:
        group: Whose volumes they are.
        manner: The manner in which they were made, or nothing.
        system: What compares them.
        figures: What came out.
    """

    group: str
    manner: str
    system: str
    figures: Figures


def brain_figures(
    weights: Annotated[Path, typer.Argument(help="brain.safetensors of a run, or an encoder's weights.")],
    manifests: Annotated[list[Path], typer.Argument(help="CSV with path, subject_id, contrast and split.")],
    same: Annotated[
        list[str] | None, typer.Option("--same", help="Subjects who may be one person, A=B; may be repeated.")
    ] = None,
    greys: Annotated[
        bool, typer.Option("--greys", help="Also measure a baseline that registers grey levels.")
    ] = False,
    folds: Annotated[
        bool, typer.Option("--looks", help="Also align the nearest to each other, half a second a pair.")
    ] = False,
) -> None:
    """Print how well a brain network knows people again, as a table.

    Example: python -m leakscan.research.brain_figures run/brain.safetensors heads.csv --greys
    """
    out = Output()
    before = ""
    net = brain_net(load_file(weights))
    for found in _measure(net, manifests, pairs_of(same or ()), greys, folds):
        if found.group != before:
            out.say(found.group)
            before = found.group
        out.say(f"  {found.manner:6} {found.system:33} {_said(found.figures)}")


def _measure(
    net: BrainNet,
    manifests: Sequence[Path],
    same: Mapping[str, str],
    greys: bool = False,
    folds: bool = False,
) -> Iterator[Measured]:
    """Figures of every system on every set: rescanned people first, then those with several contrasts.

    Args:
        net: The network, with its metric.
        manifests: CSV tables with ``path``, ``subject_id``, ``contrast``, ``split``.
        same: Subject -> the subject who may be the same person.
        greys: Whether to register grey levels too, which takes a second or two for each volume.
        folds: Whether to align the nearest of made-up new scans too, half a second a pair.
    """
    baseline = GreySystem(GREYS, SHAPE[0], net.template) if greys else None
    for name, people in held_out(manifests, same):
        for scans in rescans(net, name, people):
            yield from _of_rescans(net, scans, baseline, folds)
    for one in several_contrasts(net, manifests):
        yield from _of_contrasts(net, one, baseline)


def _systems(net: BrainNet) -> dict[str, Callable[[Floats], Floats]]:
    """What is compared: tissues and edges in their place to vectors of length 1."""
    dim = len(net.axes)

    def unit(vectors: Floats) -> Floats:
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))

    def tissues(known: Floats) -> Floats:
        return np.asarray(net.centred(torch.from_numpy(known))[0].numpy(), np.float32)

    return {
        "fingerprint": lambda known: fingerprints(net, known),
        "its edges alone": lambda known: unit(fingerprints(net, known)[:, dim:]),
        "its tissues alone": lambda known: unit(fingerprints(net, known)[:, :dim]),
        "aligned maps, no metric": lambda known: unit(tissues(known)),
        "silhouette of the brain": lambda known: unit(
            tissues(known).reshape(len(known), MAP_CHANNELS, -1).sum(axis=1)
        ),
    }


def _of_rescans(
    net: BrainNet, scans: Rescans, baseline: GreySystem | None, folds: bool
) -> Iterator[Measured]:
    for system, vectors in _systems(net).items():
        found = rescanned(vectors(scans.again) @ vectors(scans.first.maps).T)
        yield Measured(scans.group, scans.manner, system, found)
    people = read_people(scans.sources) if folds or baseline is not None else None
    if people is not None and folds:
        old = place_all(net, (torch.from_numpy(v)[None] for v in canonical_volumes(scans.files)))
        new = place_all(net, (v for images in images_of(people, scans.how, scans.seed) for v in images))
        scores = fingerprints(net, scans.again) @ fingerprints(net, scans.first.maps).T
        both = align_nearest(net, old, new, scores)
        for system, found in zip(("alignment", "fingerprint"), both, strict=True):
            yield Measured(scans.group, scans.manner, f"{system} of the {ALIGNED} nearest", found)
    if people is not None and baseline is not None:
        before = _registered(baseline, canonical_volumes(scans.files))
        images = torch.cat(list(images_of(people, scans.how, scans.seed)))[:, 0].numpy()
        after = _registered(baseline, images)
        yield Measured(scans.group, scans.manner, GREYS, rescanned(after @ before.T))


def _of_contrasts(net: BrainNet, one: Contrasts, baseline: GreySystem | None) -> Iterator[Measured]:
    for system, vectors in _systems(net).items():
        found = vectors(one.shown.maps)
        yield Measured(one.group, "", system, across(found @ found.T, one.shown))
    if baseline is not None:
        registered = _registered(baseline, canonical_volumes(one.files))
        yield Measured(one.group, "", GREYS, across(registered @ registered.T, one.shown))


def _registered(baseline: GreySystem, volumes: Iterable[Floats]) -> Floats:
    return unit_rows(np.stack([baseline.aligned(v) for v in volumes]))


def _said(found: Figures) -> str:
    parts = []
    for name, values in found.items():
        if name == "first":
            parts.append(f"first {values[0]} of {values[1]}")
        else:
            ends = f" ({values[1]:.3f} to {values[2]:.3f})" if len(values) == 3 else ""
            parts.append(f"{name} {values[0]:.3f}{ends}")
    return ", ".join(parts)


if __name__ == "__main__":
    run_command(brain_figures)
