"""The pictures of an evaluation, as in arXiv 2512.16685, and what else needs scikit-learn.

No picture shows an image or names a subject. matplotlib and scikit-learn are in the extra ``train`` and
are imported inside functions only.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import genuine_weights
from leakscan.errors import UsageError
from leakscan.evaluation.compared_rates import false_rates
from leakscan.evaluation.pairing import Compared, bin_edges, distance
from leakscan.evaluation.systems import Role, Vectors

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MARKED = 20
"""Subjects with a colour of their own in the t-SNE."""

_TSNE_POINTS = 1000
_SILHOUETTE_IMAGES = 3000
_MATRIX_SUBJECTS, _MATRIX_IMAGES = 16, 8
_DISTANCE_BINS = 80
_GENUINE, _IMPOSTOR, _GREY = "#1f5fa8", "#c8551b", "#b8bec6"
_LINES = ("#1f5fa8", "#c8551b", "#2b8a3e", "#7a4fa3", "#8a6d1f", "#4a5560", "#b3316b")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plotted:
    """What the pictures of one system are drawn from.

    Attributes:
        name: The name of the system.
        role: What kind of system it is.
        vectors: ``(n, d)`` what it makes of the images.
        compared: The comparison of all pairs.
    """

    name: str
    role: Role
    vectors: Vectors
    compared: Compared


def require_plotting() -> None:
    """Asks for what the pictures and the silhouette need before any work is done.

    Raises:
        UsageError: Matplotlib or scikit-learn is not installed.

    Example::

        require_plotting()  # before an hour of encoding, not after it
    """
    try:
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as e:
        raise UsageError(
            f"Evaluating needs {e.name or 'a package'}, which is not installed.",
            "pip install 'leakscan[train]'",
        ) from None


def silhouette(vectors: Vectors, subjects: Ints, seed: int) -> tuple[npt.NDArray[np.float64], Ints]:
    """Silhouettes (P. Rousseeuw 1987) by cosine distance of images whose subject has another.

    Where there are more than 3,000 of them, a random 3,000 are taken, whole subjects at a time.

    Args:
        vectors: ``(n, d)`` of unit length.
        subjects: ``(n,)`` codes from 0.
        seed: The seed of the sample.

    Returns:
        ``(m,)`` values in -1..1, and the subject of each; nothing with fewer than two subjects.

    Example::

        values, subjects = silhouette(vectors, labels.subjects, seed=0)
        values.mean()  # near 1 where every subject's images keep together, near 0 where they do not
    """
    from sklearn.metrics import silhouette_samples

    counts = np.bincount(subjects)
    several = np.random.default_rng(seed).permutation(np.flatnonzero(counts > 1))
    taken = several[: max(int(np.searchsorted(np.cumsum(counts[several]), _SILHOUETTE_IMAGES, "right")), 2)]
    at = np.flatnonzero(np.isin(subjects, taken))
    if len(taken) < 2:
        return np.zeros(0), np.zeros(0, np.int64)
    values = silhouette_samples(vectors[at], subjects[at], metric="cosine")
    return np.asarray(values, np.float64), subjects[at]


def draw_plots(systems: Sequence[Plotted], subjects: Ints, seed: int) -> dict[str, bytes]:
    """Draws all pictures of an evaluation: file name -> PNG.

    Args:
        systems: The systems in the order of the table, encoders first.
        subjects: ``(n,)`` codes from 0.
        seed: The seed of what is sampled.

    Example::

        compared = compare_images(vectors, labels.subjects)
        plotted = [Plotted("cxr-lite0", "encoder", vectors, compared)]
        draw_plots(plotted, labels.subjects, seed=0)["det.png"][:4]  # a picture: its first bytes say PNG
    """
    drawn = {
        "det.png": _png(lambda figure: _det(figure, systems), (7.5, 5)),
        "distances.png": _png(
            lambda figure: _distances(figure, systems), (10, 2.6 * _rows(len(systems), 2) + 0.4)
        ),
    }
    pair = [next((s for s in systems if s.role == role), None) for role in ("untrained", "encoder")]
    shown = [s for s in pair if s is not None]
    drawn["tsne.png"] = _png(
        lambda figure: _tsne(figure, shown, subjects, seed), (5.2 * len(shown) + 0.3, 5.2)
    )
    encoder = shown[-1]
    drawn["similarity.png"] = _png(lambda figure: _matrix(figure, encoder, subjects, seed), (6.5, 5.5))
    return drawn


def _png(draw: Callable[[Canvas], None], size: tuple[float, float]) -> bytes:
    """Draws without a display and without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _rows(items: int, columns: int) -> int:
    return -(-items // columns)


def _bare(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _det(figure: Canvas, systems: Sequence[Plotted]) -> None:
    """FMR against FNMR, subjects weighted equally, as far as impostor pairs stand behind it."""
    axes = figure.subplots()
    for i, system in enumerate(systems):
        if not len(system.compared.genuine) or not system.compared.n_impostor:
            continue
        fmr, fnmr = false_rates(system.compared, "subjects")
        shown = fmr * system.compared.n_impostor >= 1
        axes.plot(
            fmr[shown],
            fnmr[shown],
            label=system.name,
            color=_LINES[i % len(_LINES)],
            lw=2 if system.role == "encoder" else 1.2,
            ls="-" if system.role == "encoder" else "--",
        )
    axes.set(xscale="log", ylim=(0, 1), xlabel="false match rate", ylabel="false non-match rate")
    axes.set_xlim(right=1)
    axes.grid(color="#e4e8ed", lw=0.7)
    axes.legend(frameon=False, fontsize=8)
    _bare(axes)


def _distances(figure: Canvas, systems: Sequence[Plotted]) -> None:
    """Histograms of intra- and inter-subject distances, each with an area of 1."""
    grid = figure.subplots(_rows(len(systems), 2), 2, squeeze=False).ravel()
    centres = (bin_edges()[:-1] + bin_edges()[1:]) / 2
    for axes, system in zip(grid, systems, strict=False):
        compared = system.compared
        farthest = distance(centres[np.flatnonzero(compared.histogram)[:1]]), distance(compared.genuine)
        high = max(float(part.max(initial=0.1)) for part in farthest)
        edges = np.linspace(0, high * 1.02, _DISTANCE_BINS + 1)
        for at, weights, colour, words in (
            (distance(compared.genuine), genuine_weights(compared, "subjects"), _GENUINE, "same subject"),
            (distance(centres), compared.histogram.astype(np.float64), _IMPOSTOR, "different subjects"),
        ):
            if weights.sum():
                axes.hist(at, edges, weights=weights, density=True, color=colour, alpha=0.6, label=words)
        axes.set_title(system.name, fontsize=9)
        axes.set_yticks([])
        axes.set_xlabel("Euclidean distance", fontsize=8)
        _bare(axes)
    for axes in grid[len(systems) :]:
        axes.set_visible(False)
    grid[0].legend(frameon=False, fontsize=8)


def _tsne(figure: Canvas, systems: Sequence[Plotted], subjects: Ints, seed: int) -> None:
    """Some subjects with many images in colours, the others grey; positions mean nothing by themselves."""
    from sklearn.manifold import TSNE

    rng = np.random.default_rng(seed)
    counts = np.bincount(subjects)
    marked = np.argsort(-counts, kind="stable")[:MARKED]
    marked = marked[counts[marked] > 1]
    own = np.flatnonzero(np.isin(subjects, marked))
    others = rng.permutation(np.flatnonzero(~np.isin(subjects, marked)))
    own = rng.permutation(own)[: _TSNE_POINTS // 2]
    at = np.concatenate([others[: _TSNE_POINTS - len(own)], own])
    grid = figure.subplots(1, len(systems), squeeze=False).ravel()
    for axes, system in zip(grid, systems, strict=True):
        perplexity = min(30.0, max(2.0, (len(at) - 1) / 4))
        placed = TSNE(
            metric="cosine", init="pca", perplexity=perplexity, max_iter=500, random_state=seed
        ).fit_transform(system.vectors[at])
        axes.scatter(*placed[: len(at) - len(own)].T, s=4, color=_GREY, lw=0)
        for number, subject in enumerate(marked):
            here = placed[subjects[at] == subject]
            axes.scatter(
                *here.T,
                s=16,
                color=_LINES[number % len(_LINES)],
                marker="os^D"[number // len(_LINES) % 4],
                lw=0,
            )
        axes.set(title=system.name, xticks=[], yticks=[])
        axes.title.set_fontsize(9)


def _matrix(figure: Canvas, system: Plotted, subjects: Ints, seed: int) -> None:
    """Similarities of some subjects' images, sorted by subject; lines part the subjects."""
    rng = np.random.default_rng(seed)
    several = rng.permutation(np.flatnonzero(np.bincount(subjects) > 2))[:_MATRIX_SUBJECTS]
    if not len(several):
        several = rng.permutation(np.flatnonzero(np.bincount(subjects) > 1))[:_MATRIX_SUBJECTS]
    groups = [rng.permutation(np.flatnonzero(subjects == s))[:_MATRIX_IMAGES] for s in several]
    at = np.concatenate(groups)
    axes = figure.subplots()
    shown = axes.imshow(
        system.vectors[at] @ system.vectors[at].T, vmin=-0.2, vmax=1, cmap="viridis", interpolation="nearest"
    )
    for edge in np.cumsum([len(g) for g in groups])[:-1] - 0.5:
        axes.axhline(edge, color="white", lw=0.6)
        axes.axvline(edge, color="white", lw=0.6)
    axes.set(title=system.name, xticks=[], yticks=[])
    axes.set_xlabel(f"{len(at)} images of {len(groups)} subjects")
    figure.colorbar(shown, ax=axes, label="cosine similarity")
