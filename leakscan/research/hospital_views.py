"""The views that heads learn from: films of nih and children as they are, by other machines, of the very ill.

Films of other hospitals come without people, so each is a person of its own. Half of them are held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import UsageError
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, EfficientNetLite0
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.research.intensive_care import intensive_care
from leakscan.training.films.augment import public_view, slightly_moved, some_as_jpeg
from leakscan.training.films.kept_views import Films, KeptViews, keep_views
from leakscan.training.films.machines import of_another_machine
from leakscan.training.films.pack import pack_manifest
from leakscan.training.films.start import load_weights
from leakscan.types import Progress

SIDE = 224
_PACKED = 240
_SINGLES, _MOST = 400, 4  # people of nih with one film, and films of one person
_VIEWS = (2, 1, 3)  # altered views of a film of nih, of a child, of another hospital
_LENT = 8  # films of other hospitals that lend their looks to a batch of ``_BATCH``
_BATCH = 32


@dataclass(frozen=True)
class HospitalViews:
    """Kept views of three data sets.

    Attributes:
        views: The views.
        subjects: ``(films,)`` whom each film shows.
        sources: ``(films,)`` 0 for nih, 1 for children (kermany), 2 for other hospitals.
        net: The network whose maps they are.
    """

    views: KeptViews
    subjects: npt.NDArray[np.str_]
    sources: npt.NDArray[np.int64]
    net: EfficientNetLite0


def hospital_views(data: Path, folder: Path, encoder: str | None, progress: Progress) -> HospitalViews:
    """Keeps the views of the training films, or takes those that a folder has.

    Args:
        data: The folder that holds ``cxr/``.
        folder: Where views are kept.
        encoder: The name of the encoder whose trunk it is; the one for chest films if not given.
        progress: Receives how far the work is.

    Raises:
        LeakscanError: A manifest or the encoder cannot be read, or its network is no EfficientNet-Lite0.

    Example::

        kept = hospital_views(Path("data"), Path("views"), None, Silent())
    """
    net = _network(encoder)
    nih, children, others = (
        pack_manifest(data / "cxr" / name / "manifest.csv", {"train"}, _PACKED, progress=progress)
        for name in ("nih", "kermany", "other_hospitals")
    )
    some = _some_of_each(nih.subjects)
    halves = np.random.default_rng(1).permutation(len(others.films))
    taught = others.films[halves[len(halves) // 2 :]]
    films = np.concatenate([nih.films[some], children.films, taught])
    alone = np.array([f"other:{i}" for i in range(len(taught))])
    subjects = np.concatenate([nih.subjects[some], children.subjects, alone])
    sources = np.repeat(np.arange(3), [len(some), len(children.films), len(taught)])

    def alter(shown: Films, rng: np.random.Generator) -> Films:
        return _altered(shown, taught, rng)

    keep_views(films, alter, np.array(_VIEWS)[sources], net, folder, progress)
    return HospitalViews(KeptViews(folder), subjects, sources, net)


def _network(encoder: str | None) -> EfficientNetLite0:
    entry = card_for("chest_radiograph", encoder)
    if entry is None or not entry[0].architecture.startswith("efficientnet_lite0"):
        raise UsageError("There is no encoder for chest films whose network is an EfficientNet-Lite0.")
    card, folder = entry
    net = ARCHITECTURES[card.architecture](card.dim).eval()
    load_weights(net, folder / card.weights, card.architecture)
    assert isinstance(net, EfficientNetLite0)
    return net


def _some_of_each(subjects: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Films of a pack, in order: a few of everybody, and some of people who have one."""
    _, who, often = np.unique(subjects, return_inverse=True, return_counts=True)
    seen, singles, kept = np.zeros(len(often), np.int64), 0, []
    for film in np.random.default_rng(0).permutation(len(who)):
        single = often[who[film]] == 1
        if (singles >= _SINGLES) if single else (seen[who[film]] >= _MOST):
            continue
        singles += int(single)
        seen[who[film]] += 1
        kept.append(film)
    return np.sort(np.array(kept, np.int64))


def _altered(films: Films, lenders: Films, rng: np.random.Generator) -> Films:
    """``(n, SIDE, SIDE)``: some very ill, most by another machine, all placed a little otherwise."""
    out = []
    for at in range(0, len(films), _BATCH):
        shown = [
            intensive_care(film.astype(np.float32), rng, float(rng.uniform(0.2, 0.7)))
            if rng.random() < 0.45
            else film.astype(np.float32) / 255
            for film in films[at : at + _BATCH]
        ]
        lent = lenders[rng.integers(len(lenders), size=_LENT)].astype(np.float32) / 255
        both = torch.from_numpy(np.concatenate([np.stack(shown).astype(np.float32), lent]))[:, None]
        both = nn.functional.interpolate(both, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        x = of_another_machine(both, 0.6)[: len(shown)]
        x = public_view(x, SIDE, 0.8) if rng.random() < 0.5 else slightly_moved(x, SIDE)
        out.append((some_as_jpeg(x, 0.2)[:, 0].clamp(0, 1) * 255).round().byte().numpy())
    return np.concatenate(out)
