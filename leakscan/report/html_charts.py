"""What the page draws: how far apart pictures are, and which dataset overlaps with which."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.report.html_people import couple_name
from leakscan.report.run_tables import RunTables

_SAMPLE = 700  # pictures of each side of a sample
_BINS = 64
_LEAST = 10  # pictures of each side below which there is nothing to draw
_CHARTS = 6
_SEED = 0
_WIDTH, _HEIGHT, _FOOT = 640.0, 190.0, 22.0  # of a drawing in its own units; numbers stand at its foot
_HEAD = 30.0  # room for the words of the thresholds
_MAP_SIDE = 24  # datasets on the map
_SHADES = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How far apart the pictures of two datasets are, ready to be drawn.

    Heights grow with the logarithm of a count, so that ten found pairs are seen beside a million strangers.

    Attributes:
        name: The two datasets.
        encoder: The encoder whose fingerprints are compared.
        sampled: The number of pairs in the sample.
        bars: Rectangles with ``kind`` (``all``, ``review`` or ``leak``), ``x``, ``y``, ``width``, ``height``
            and ``words``.
        ticks: The numbers below the drawing: ``x`` and ``words``.
        lines: The thresholds: ``x``, ``y`` of the words, ``kind`` and ``words``.
    """

    name: str
    encoder: str
    sampled: int
    bars: tuple[Mapping[str, Any], ...]
    ticks: tuple[Mapping[str, Any], ...]
    lines: tuple[Mapping[str, Any], ...]


def histograms(found: RunTables, summary: Mapping[str, Any]) -> list[Histogram]:
    """Distances of a sample of all pairs and of the pairs found, with the thresholds.

    The distance is 1 minus the cosine of two fingerprints. Where an encoder's scores are no plain cosines,
    nothing is drawn. At most six comparisons are drawn, in the order of the answer.

    Args:
        found: The tables of the run.
        summary: What ``summary.json`` holds.

    Example::

        [chart.name for chart in histograms(found, summary)]  # ['ward and research']
    """
    told = summary.get("answer", {}).get("pairs_of_datasets", [])
    order = {(p["a"], p["b"]): n for n, p in enumerate(told)}
    charts: list[Histogram] = []
    for comparison in sorted(summary["comparisons"], key=lambda c: order.get((c["a"], c["b"]), len(order))):
        for encoder, limits in comparison["thresholds"].items():
            calibration = summary["encoders"].get(encoder, {}).get("calibration")
            if len(charts) == _CHARTS or calibration is None or calibration["cohort"]:
                continue
            if chart := _chart(found, comparison, encoder, limits):
                charts.append(chart)
    return charts


def _chart(
    found: RunTables, comparison: Mapping[str, Any], encoder: str, limits: Mapping[str, Any]
) -> Histogram | None:
    names = comparison["a"], comparison["b"]
    rows = [_rows_of(found.fingerprints, name, encoder) for name in names]
    if min(len(own) for own in rows) < _LEAST:
        return None
    a, b = (_vectors(own) for own in rows)
    distances = 1.0 - a @ b.T
    # Inside one dataset every pair stands there twice, and each picture beside itself.
    sample = distances[np.triu_indices(len(a), 1)] if names[0] == names[1] else distances.ravel()
    pairs = found.pairs.filter(
        pc.and_(pc.equal(found.pairs["dataset_a"], names[0]), pc.equal(found.pairs["dataset_b"], names[1]))
    )
    pairs = pairs.filter(pc.is_in(pairs["image_a"], pc.unique(rows[0]["image_id"])))
    of = {d: _known(pairs.filter(pc.equal(pairs["decision"], d))["distance"]) for d in ("review", "leak")}
    lines = {
        kind: 1.0 - limits[f"{kind}_score"] for kind in ("leak", "review") if limits.get(f"{kind}_score")
    }
    return _drawn(f"{couple_name(*names)}", encoder, {"all": sample, **of}, lines)


def _rows_of(prints: pa.Table, dataset: str, encoder: str) -> pa.Table:
    return prints.filter(pc.and_(pc.equal(prints["dataset"], dataset), pc.equal(prints["encoder"], encoder)))


def _vectors(rows: pa.Table) -> Floats:
    """``(n, d)`` unit fingerprints of a sample of rows that the number of rows alone chooses."""
    kept = np.sort(np.random.default_rng(_SEED).permutation(len(rows))[:_SAMPLE])
    values = pc.list_flatten(rows["fingerprint"].take(pa.array(kept))).to_numpy()
    vectors = values.astype(np.float64).reshape(len(kept), -1)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _known(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.drop_null().to_numpy(), np.float64)


def _drawn(name: str, encoder: str, of: Mapping[str, Floats], thresholds: Mapping[str, float]) -> Histogram:
    """The drawing: bars of each kind, numbers along the foot, and a line for each threshold."""
    farthest = max([0.1, *thresholds.values(), *(float(d.max()) for d in of.values() if len(d))])
    end = math.ceil(farthest * 10) / 10
    edges = np.linspace(0.0, end, _BINS + 1)
    counts = {kind: np.histogram(np.clip(d, 0.0, end), edges)[0] for kind, d in of.items()}
    top = math.log1p(max(int(c.max()) for c in counts.values()))
    ground, step = _HEIGHT - _FOOT, _WIDTH / _BINS
    bars = []
    for kind, own in counts.items():
        # Found pairs are drawn thinner, in front of the others.
        inset = {"all": 0.0, "review": 0.15, "leak": 0.3}[kind] * step
        for n in np.flatnonzero(own).tolist():
            height = (ground - _HEAD) * math.log1p(int(own[n])) / top
            words = f"{edges[n]:.2f} to {edges[n + 1]:.2f}: {int(own[n]):,}"
            box = {"x": n * step + inset, "y": ground - height, "width": step - 2 * inset, "height": height}
            bars.append({"kind": kind, "words": words, **{k: round(v, 2) for k, v in box.items()}})
    ticks = [
        {"x": round(_WIDTH * n / 5, 1), "words": f"{end * n / 5:.2f}", "anchor": anchor}
        for n, anchor in enumerate(("start", *["middle"] * 4, "end"))
    ]
    lines = [
        {
            "x": round(_WIDTH * at / end, 1),
            "y": 10.0 + 14.0 * n,
            "kind": kind,
            "words": f"{'leak' if kind == 'leak' else 'for review'} up to {at:.2f}",
            "anchor": "start" if at < end * 0.7 else "end",
        }
        for n, (kind, at) in enumerate(thresholds.items())
    ]
    return Histogram(
        name=name,
        encoder=encoder,
        sampled=len(of["all"]),
        bars=tuple(bars),
        ticks=tuple(ticks),
        lines=tuple(lines),
    )


def overlap_map(pairs_of_datasets: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Which dataset overlaps with which: rows and columns of datasets, with people shared and possible.

    Args:
        pairs_of_datasets: The comparisons of the answer.

    Returns:
        ``names``, at most 24 with those that share most first; ``rows`` of cells (``None`` on the diagonal)
        with ``shared``, ``possible``, ``shade`` (0..4) and ``couple``; ``left_out``, the number of datasets
        that have no room. ``None`` where fewer than three datasets were compared.

    Example:
        >>> people = {"copies": 2, "other_pictures": 1, "possible": 0}
        >>> told = [{"a": a, "b": b, **people} for a, b in ("AB", "AC")]
        >>> overlap_map(told)["names"]
        ['A', 'B', 'C']
    """
    weight: Counter[str] = Counter()
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for told in pairs_of_datasets:
        a, b = told["a"], told["b"]
        shared = told["copies"] + told["other_pictures"]
        cell = {"shared": shared, "possible": told["possible"], "couple": couple_name(a, b)}
        cells[a, b] = cells[b, a] = cell
        for name in (a, b):
            weight[name] += 1000 * shared + told["possible"]
    if len(weight) < 3:
        return None
    names = sorted(weight, key=lambda name: -weight[name])[:_MAP_SIDE]
    most = max(cell["shared"] for cell in cells.values())
    for cell in cells.values():
        part = math.log1p(cell["shared"]) / math.log1p(most) if most else 0.0
        cell["shade"] = math.ceil(_SHADES * part)
    return {
        "names": names,
        "rows": [[None if a == b else cells.get((a, b)) for b in names] for a in names],
        "left_out": len(weight) - len(names),
    }
