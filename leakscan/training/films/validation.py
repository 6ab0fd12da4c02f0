"""Figures on the subjects that choose between weights; they are never learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.error_rates import auc, n_way_one_shot, pair_scores, precision_at_1, tar_at_fmr
from leakscan.training.films.pack import Pack
from leakscan.types import Progress

_RATES = (1e-4, 1e-3, 1e-2, 1e-1)
_PAIRS_BEHIND = 10  # impostor pairs that must stand behind a false match rate
_WAYS = 20


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Subject-weighted figures, by cosine similarity, which is what encoders are used with.

    Attributes:
        auc: How often a genuine pair scores higher than an impostor pair.
        fmr: The lowest of 1e-4 to 1e-1 that at least ten impostor pairs stand for; ``None`` if none.
        tar: The true accept rate at ``fmr``.
        tar_1e3: The true accept rate at a false match rate of 1e-3, where that is supported.
        precision_at_1: How often the nearest other film is of the same subject.
        one_shot: 20-way 1-shot, with 20 subjects or more.
    """

    auc: float
    fmr: float | None
    tar: float | None
    tar_1e3: float | None
    precision_at_1: float
    one_shot: float | None

    @property
    def merit(self) -> float:
        """What weights are chosen by: TAR, or AUC where there are too few pairs for any rate."""
        return self.auc if self.tar is None else self.tar

    def __str__(self) -> str:
        """A few words for a progress bar."""
        if self.fmr is None or self.tar is None:
            return f"val AUC {self.auc:.3f}"
        return f"val TAR {self.tar:.3f} at FMR {self.fmr:g}, P@1 {self.precision_at_1:.3f}"


def validate(net: nn.Module, pack: Pack, side: int, progress: Progress | None = None) -> Validated:
    """Measures a network on a labelled pack with two subjects and a genuine pair at least.

    Args:
        net: The network; it is put into evaluation mode.
        pack: The films.
        side: The side of the films that the network sees, in pixels.
        progress: Receives the number of films done; its stage has been opened.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 16, bias=False))
        >>> _ = nn.init.eye_(net[1].weight)  # the fingerprint is the picture
        >>> films = np.eye(16, dtype=np.uint8).reshape(16, 4, 4)[[0, 0, 1, 1]]
        >>> pack = Pack(films=films, subjects=np.array(["Ann", "Ann", "Bea", "Bea"]), widths=np.ones(4, int))
        >>> validate(net, pack, side=4).precision_at_1
        1.0
    """
    prints = embed(net, pack.films, side, progress)
    pairs = pair_scores(prints, pack.subjects)
    supported = [r for r in _RATES if r * len(pairs.impostor) >= _PAIRS_BEHIND]
    fmr = supported[0] if supported else None
    enough = len(np.unique(pack.subjects)) >= _WAYS
    return Validated(
        auc=auc(pairs),
        fmr=fmr,
        tar=None if fmr is None else tar_at_fmr(pairs, fmr),
        tar_1e3=tar_at_fmr(pairs, 1e-3) if 1e-3 in supported else None,
        precision_at_1=precision_at_1(prints, pack.subjects),
        one_shot=n_way_one_shot(prints, pack.subjects, _WAYS) if enough else None,
    )


@torch.inference_mode()
def embed(
    net: nn.Module,
    films: npt.NDArray[np.uint8],
    side: int,
    progress: Progress | None = None,
    batch: int = 64,
) -> npt.NDArray[np.float32]:
    """Normalised fingerprints ``(n, d)`` of packed films, resized to ``side``, without gradients.

    Args:
        net: The network; it is put into evaluation mode.
        films: ``(n, s, s)`` uint8, or volumes ``(n, x, y, z)``.
        side: The side of the films that the network sees, in pixels.
        progress: Receives the number of films done; its stage has been opened.
        batch: Films at a time.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        >>> prints = embed(net, np.full((2, 4, 4), 200, np.uint8), side=4)
        >>> prints.shape, np.linalg.norm(prints, axis=1).round(3).tolist()
        ((2, 3), [1.0, 1.0])
    """
    net.eval()
    device = next(net.parameters()).device
    out = []
    for start in range(0, len(films), batch):
        x = to_float(films[start : start + batch], device)
        if x.ndim == 4 and x.shape[-1] != side:
            x = nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            prints = net(x.contiguous(memory_format=channels_last(x))).float()
        out.append(nn.functional.normalize(prints))
        if progress is not None:
            progress.advance(len(x))
    return torch.cat(out).cpu().numpy()


def channels_last(x: torch.Tensor) -> torch.memory_format:
    """The layout in which convolutions of a batch of films or volumes are fastest.

    Example:
        >>> channels_last(torch.zeros(1, 1, 8, 8)), channels_last(torch.zeros(1, 1, 8, 8, 8))
        (torch.channels_last, torch.channels_last_3d)
    """
    return torch.channels_last_3d if x.ndim == 5 else torch.channels_last


def to_float(films: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Packed films ``(n, s, s)`` as a float batch ``(n, 1, s, s)`` in 0..1; volumes likewise.

    Example:
        >>> x = to_float(np.full((1, 2, 2), 51, np.uint8), torch.device("cpu"))
        >>> x.shape, round(x.max().item(), 3)
        (torch.Size([1, 1, 2, 2]), 0.2)
    """
    # A copy, because torch warns of read-only memory maps.
    return torch.from_numpy(np.array(films)).to(device)[:, None].float() / 255.0
