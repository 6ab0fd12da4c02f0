"""One HTML page for a person: what was found, in words, with the pairs side by side.

The page stands alone (pictures are inside) and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image

from leakscan.errors import ImageError
from leakscan.report.alike import words_by_comparison
from leakscan.report.run_tables import RunTables
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.types import ImageRef

PAIRS_SHOWN = 100
_REVIEWS_SHOWN = (
    50  # of those, where there are as many for review: looking at them is what a reader has to do
)
_THUMB_SIDE = 240

_RELATION_WORDS = {
    "same_file": "the same file",
    "same_pixels": "the same pixels in another file",
    "same_image": "the same picture, altered",
    "same_subject": "another picture of the same person",
}


def render_html(
    found: RunTables,
    summary: Mapping[str, Any],
    refs: Mapping[str, Mapping[str, ImageRef]],
    options: DecodeOptions,
) -> str:
    """The page as text; the strongest leaks and pairs for review are shown with pictures.

    Args:
        found: The tables of the run.
        summary: What ``summary.json`` holds.
        refs: Where the pixels of every image are, by dataset and image id.
        options: The limits for reading them.

    Example::

        found = RunTables.of(datasets, comparisons, settings.privacy)
        refs = {dataset.name: dataset.refs for dataset in datasets}
        page = render_html(found, summarise(found, context), refs, settings.reading)
    """
    environment = Environment(
        loader=PackageLoader("leakscan.report"), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    shown = _shown(found.pairs)
    pairs = shown.to_pylist()
    for pair in pairs:
        pair["words"] = _RELATION_WORDS[pair["relation"]]
        for side in ("a", "b"):
            ref = refs.get(pair[f"dataset_{side}"], {}).get(pair[f"image_{side}"])
            pair[f"picture_{side}"] = _thumbnail(ref, options)
    return environment.get_template("report.html.jinja").render(
        summary=summary,
        comparisons=words_by_comparison(summary["comparisons"]),
        pairs=pairs,
        decisions={d: (_count(shown, d), _count(found.pairs, d)) for d in ("leak", "review")},
        relation_words=_RELATION_WORDS,
    )


def _count(pairs: pa.Table, decision: str) -> int:
    return int(pc.sum(pc.equal(pairs["decision"], decision)).as_py() or 0)


def _shown(pairs: pa.Table) -> pa.Table:
    """At most ``PAIRS_SHOWN`` pairs, the strongest of each decision, in the order of the table."""
    leaks, reviews = (np.flatnonzero(pc.equal(pairs["decision"], d).to_numpy()) for d in ("leak", "review"))
    kept = reviews[: max(_REVIEWS_SHOWN, PAIRS_SHOWN - len(leaks))]
    return pairs.take(np.sort(np.concatenate([leaks[: PAIRS_SHOWN - len(kept)], kept])))


def _thumbnail(ref: ImageRef | None, options: DecodeOptions) -> str | None:
    """A small JPEG as a data URI, ``None`` where the pixels are not at hand."""
    if ref is None:
        return None
    try:
        picture = _flat(decode(ref, options).values)
    except (ImageError, OSError):
        return None
    scale = _THUMB_SIDE / max(picture.shape)
    size = tuple(max(1, round(n * scale)) for n in picture.shape[::-1])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    low, high = np.percentile(small, (0.5, 99.5))
    grey = np.clip((small - low) / max(float(high - low), 1e-12) * 255, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _flat(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A picture as it is; of a volume the middle axial and sagittal slices beside each other."""
    if values.ndim == 2:
        return values
    x, _, z = (n // 2 for n in values.shape)
    axial, sagittal = np.rot90(values[:, :, z]), np.rot90(values[x])
    height = max(len(axial), len(sagittal))
    padded = [np.pad(s, ((0, height - len(s)), (0, 0))) for s in (axial, sagittal)]
    return np.concatenate(padded, axis=1).astype(np.float32)
