"""Baselines beside an encoder of brain volumes: the same alignment without what was learned of people."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import UsageError
from leakscan.evaluation.labelled_images import PreparedImage
from leakscan.evaluation.systems import Role, System, Vectors
from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet
from leakscan.fingerprint.encoders.brain.tissue_net import TISSUE_CHANNELS
from leakscan.fingerprint.preprocess.volume import STEP_MM

Aligned = Callable[[npt.NDArray[np.uint8]], Iterator[tuple[torch.Tensor, torch.Tensor]]]

_TISSUES = TISSUE_CHANNELS - 1
_GREYS = (1.0, 0.6, 0.75, 0.15, 0.1, 0.55, 0.9)
"""Grey levels of the tissues, about as a T1 shows them; mutual information works with any."""
_STARTS_MM = (0.0, 20.0)  # how far above the middle the brain may lie: stripped, or in a whole head
_BATCH = 4
_SEED = 0


def brain_baselines(encoder: BrainEncoder) -> list[System]:
    """What needs no metric: tissue maps, silhouette, an untrained network's maps, and aligned grey levels.

    Example::

        card, folder = cards()["brain-folds"]
        [system.name for system in brain_baselines(load_encoder(card, folder))]
    """
    side, template = encoder.card.side, encoder.template
    untrained, aligned = _Untrained(template), _AlignedOnce(encoder.aligned)
    return [
        MapSystem("aligned tissue maps, no metric", "maps", side, template, aligned),
        MapSystem("silhouette of the brain", "silhouette", side, template, aligned),
        MapSystem("untrained tissue network", "untrained", side, template, untrained.aligned),
        GreySystem("aligned grey levels, no training", side, template),
    ]


class MapSystem:
    """Aligned maps less the average brain (untrained ones: their own mean), as vectors; a :class:`System`.

    Args:
        name: The name in the table.
        role: What kind of system it is; ``silhouette`` adds up the tissues first.
        side: The side of the canonical volume.
        template: ``(7, x, y, z)`` the average brain.
        aligned: Gives the tissues, and the edges, inside the average brain.
    """

    def __init__(self, name: str, role: Role, side: int, template: torch.Tensor, aligned: Aligned) -> None:
        self.name, self.role, self.side = name, role, side
        self._aligned = aligned
        self._net = BrainNet(template)
        self._mean = self._net.inside(template[None])[0]

    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`; there are no reduced volumes."""
        canonical = np.stack([image.canonical[self.side] for image in images])
        maps = torch.cat([self._net.parts(known)[0] for known, _ in self._aligned(canonical)])
        shares = (maps - self._mean).view(len(maps), _TISSUES, -1)
        if self.role == "untrained":  # it has no average brain to differ from
            shares = maps.view(shares.shape)
            shares = shares - shares.mean(dim=2, keepdim=True)
        found = (shares.sum(dim=1) if self.role == "silhouette" else shares).flatten(1)
        vectors = nn.functional.normalize(found.float()).numpy()
        return np.asarray(vectors, np.float32), np.ones(len(images), bool)


class GreySystem:
    """Volumes registered to the average brain by their grey levels, then correlated; a :class:`System`.

    Linkage without training as in arXiv 2602.10043, whose volumes are of one contrast and stripped of their
    skulls. Registration is rigid, by Mattes' mutual information (SimpleITK), so that any contrast may come;
    the correlation that follows is of grey levels and wants one contrast.

    Args:
        name: The name in the table.
        side: The side of the canonical volume.
        template: ``(7, x, y, z)`` the average brain.

    Raises:
        UsageError: SimpleITK is not installed.
    """

    role: Role = "greys"

    def __init__(self, name: str, side: int, template: torch.Tensor) -> None:
        self.name, self.side = name, side
        greys = (template * torch.tensor(_GREYS).view(-1, 1, 1, 1)).sum(dim=0)
        self._inside = (template.sum(dim=0) > 0.5).repeat_interleave(2, 0).repeat_interleave(2, 1)
        self._inside = self._inside.repeat_interleave(2, 2)
        brain = nn.functional.interpolate(greys[None, None], scale_factor=2, mode="trilinear")[0, 0]
        self._fixed, self._mask = _image(brain.numpy()), _image(self._inside.numpy().astype(np.uint8))

    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`; there are no reduced volumes."""
        found = np.stack([self.aligned(image.canonical[self.side].astype(np.float32)) for image in images])
        return unit_rows(found), np.ones(len(images), bool)

    def aligned(self, canonical: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Grey levels ``(v,)`` inside the average brain, less their mean, of ``(x, y, z)``."""
        sitk = _sitk()
        moving = _image(canonical)
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricFixedMask(self._mask)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.2, 1)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 60)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel([4, 2, 1])
        method.SetSmoothingSigmasPerLevel([4.0, 2.0, 0.0])
        found = []
        for up in _STARTS_MM:
            start = sitk.Euler3DTransform([(k - 1) / 2 * STEP_MM for k in canonical.shape])
            start.SetTranslation((0.0, 0.0, up))
            method.SetInitialTransform(start, inPlace=False)
            with contextlib.suppress(RuntimeError):  # too little in common to begin with
                found.append((method.Execute(self._fixed, moving), method.GetMetricValue()))
        if found:
            moving = sitk.Resample(moving, self._fixed, min(found, key=lambda one: one[1])[0])
        greys = sitk.GetArrayFromImage(moving).transpose(2, 1, 0)[self._inside.numpy()]
        return np.asarray(greys - greys.mean(), np.float32)


def unit_rows(vectors: npt.NDArray[np.float32]) -> Vectors:
    """Vectors ``(n, d)`` at length 1; those of length 0 stay.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def _sitk() -> Any:
    """SimpleITK, which has no types; loaded where it is needed, because loading takes a second.

    Raises:
        UsageError: It is not installed.
    """
    try:
        return importlib.import_module("SimpleITK")
    except ImportError:
        raise UsageError(
            "Measuring the baselines of volumes needs SimpleITK, which is not installed.",
            "pip install 'leakscan[train]', or pass baselines=False.",
            code="no_simpleitk",
        ) from None


def _image(volume: npt.NDArray[np.generic]) -> Any:
    image = _sitk().GetImageFromArray(np.ascontiguousarray(volume.transpose(2, 1, 0)))
    image.SetSpacing([STEP_MM] * 3)
    return image


class _AlignedOnce:
    """An alignment that keeps what it found of the volumes it had last: aligning takes most of the time."""

    def __init__(self, aligned: Aligned) -> None:
        self._aligned = aligned
        self._asked = np.empty(0, np.uint8)
        self._found: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, canonical: npt.NDArray[np.uint8]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if not np.array_equal(canonical, self._asked):
            self._found, self._asked = list(self._aligned(canonical)), canonical
        return iter(self._found)


class _Untrained:
    """Tissue maps of random weights, their normalisation fitted to the first volumes that come."""

    def __init__(self, template: torch.Tensor) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(_SEED)
            self._net = BrainNet(template)
        self._fitted = False

    @torch.no_grad()
    def aligned(self, canonical: npt.NDArray[np.uint8]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(canonical), _BATCH):
            batch = torch.from_numpy(canonical[start : start + _BATCH])[:, None].float() / 255.0
            if not self._fitted:
                self._net.train()(batch)
                self._net.eval()
                self._fitted = True
            yield self._net.aligned(batch)
