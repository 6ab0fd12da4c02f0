"""Pictures of a calibration: where scores lie, what is missed, and what a threshold costs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from leakscan.decide.calibration.calibration import Calibration
from leakscan.errors import OutputError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _GENUINE, _SOFT = "#1b2430", "#1a7f37", "#9aa5b1"
_SIZES = (10**4, 10**6, 10**8)  # numbers of comparisons whose cost is drawn

Floats = npt.NDArray[np.float64]


def require_matplotlib() -> None:
    """Asks for what pictures need before any work is done.

    Raises:
        UsageError: matplotlib is not installed.

    Example::

        require_matplotlib()  # before an hour of fingerprinting, not after it
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("Pictures need matplotlib.", "pip install 'leakscan[train]'")


def calibration_plots(calibration: Calibration, folder: Path) -> list[Path]:
    """Draws three PNG pictures of a calibration.

    Args:
        calibration: The calibration to draw.
        folder: The folder to write into.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: The folder cannot be written.

    Example::

        calibration = read_calibration(Path("films.safetensors"), [card.encoder])
        pictures = calibration_plots(calibration, Path("pictures"))
        [path.name for path in pictures]  # ['scores.png', 'det.png', 'cost.png']
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    written = []
    for name, draw in (("scores", _scores), ("det", _det), ("cost", _cost)):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        draw(calibration, figure.add_subplot())
        path = folder / f"{name}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=110)
        except OSError as e:
            raise OutputError(f"Cannot write {path}: {e.strerror or e}.") from e
        written.append(path)
    return written


def _grid(calibration: Calibration) -> tuple[Floats, Floats, Floats, Floats]:
    """Scores from the bulk to the floor, with their false match rate and its interval."""
    tail = calibration.tail
    score = np.linspace(tail.score_at(0.5), tail.score_at(tail.floor), 200)
    low, high = tail.interval(score)
    return score, tail.p_value(score), low, high


def _missed(calibration: Calibration, rate: Floats) -> Floats:
    return np.array([calibration.missed(float(r)) for r in rate])


def _scores(calibration: Calibration, axes: Axes) -> None:
    """Share of impostors above a score, with the fitted tail, and the density of genuine pairs."""
    score, rate, low, high = _grid(calibration)
    axes.fill_between(score, low, high, color=_SOFT, alpha=0.5, label="95 % interval")
    axes.semilogy(score, rate, color=_INK, label="strangers above this score (fitted tail)")
    axes.axvline(calibration.tail.threshold, color=_SOFT, ls=":", label="the fitted tail begins")
    if len(calibration.genuine.score):
        missed = np.array([calibration.genuine.missed(float(s))[0] for s in score])
        axes.semilogy(score, np.maximum(1 - missed, 1e-12), color=_GENUINE, label="same person above")
    axes.set(
        xlabel="normalised score",
        ylabel="share of pairs",
        ylim=(calibration.tail.floor / 2, 1.5),
        title=f"{calibration.source}: {calibration.tail.n_pairs:,} impostor pairs",
    )
    axes.legend(fontsize=8)


def _det(calibration: Calibration, axes: Axes) -> None:
    """Detection error trade-off on normal deviates (ISO/IEC 19795-1)."""
    _, rate, _, _ = _grid(calibration)
    missed = np.clip(_missed(calibration, rate), 1e-4, 1 - 1e-4)
    deviate: Any = ndtri
    axes.fill_between(deviate(rate), deviate(missed[:, 1]), deviate(missed[:, 2]), color=_SOFT, alpha=0.5)
    axes.plot(deviate(rate), deviate(missed[:, 0]), color=_INK)
    x = [t for t in (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5) if t >= rate.min()]
    y = [0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95]
    axes.set_xticks(deviate(x), [f"{t:g}" for t in x])
    axes.set_yticks(deviate(y), [f"{t:.0%}" for t in y])
    axes.set(xlabel="false match rate", ylabel="same person missed", title="Detection error trade-off")
    axes.grid(color="#e5e9ee")


def _cost(calibration: Calibration, axes: Axes) -> None:
    """Expected false pairs against missed subjects as the threshold moves, for runs of several sizes."""
    _, rate, _, _ = _grid(calibration)
    missed = _missed(calibration, rate)[:, 0]
    for n, shade in zip(_SIZES, ("#6b8fb3", "#35618c", _INK), strict=True):
        axes.loglog(rate * n, np.maximum(missed, 1e-3), color=shade, label=f"{n:,} comparisons")
    axes.axvline(1.0, color=_SOFT, ls=":")
    axes.set(xlabel="expected false pairs", ylabel="repeated subjects missed", title="What a threshold costs")
    axes.legend(fontsize=8)
