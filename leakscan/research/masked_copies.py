"""Copies that show a part of their original on some ground.

``python -m leakscan.research.masked_copies DATA``: pictures of ``busi``, ``cxr/ieee8023`` and ``slices`` are
masked to two ovals or to one, with hard and with soft edges, or cut out and laid elsewhere, on black, white,
grey, their own mean, noise, and what their edge leaves when it is smeared. The vote of keypoints, the glance
and the check must all say yes. Strangers that agree best by their keypoints are checked with one of them
masked, and with both masked to one shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.evaluation.bench import one_per_subject
from leakscan.fingerprint.keypoints import find_keypoints
from leakscan.match.index.keypoints import KeypointIndex
from leakscan.research.command import run_command
from leakscan.research.copy_limits import SETS, is_found, values_of

Floats = npt.NDArray[np.float32]
Ground = Callable[[Floats, Floats], Floats]

_LARGEST = 512  # px, longest side: the check works at 320
_NEAREST = 6


def masked_copies(
    data: Annotated[Path, typer.Argument(help="Folder that holds busi/, cxr/ and slices/.")],
    pictures: Annotated[int, typer.Option("--pictures", help="Pictures of each set.", min=2)] = 16,
    strangers: Annotated[int, typer.Option("--strangers", help="Pairs of strangers a set.", min=0)] = 40,
) -> None:
    """Measure which masked copies are found, and how often strangers are called copies; print JSON lines.

    Example: python -m leakscan.research.masked_copies DATA --pictures 16 --strangers 40
    """
    out, rng = Output(), np.random.default_rng(0)
    for source in SETS:
        refs = [ref for ref in one_per_subject(str(data / source)) if ref.ndim == 2]
        chosen = [sized(values_of(refs[i])) for i in rng.permutation(len(refs))[: pictures + 10 * strangers]]
        for name, change in changes():
            found = sum(is_found(film, change(film)) for film in chosen[:pictures])
            out.say(json.dumps({"set": source, "change": name, "found": found, "of": pictures}))
        if strangers:
            out.say(json.dumps({"set": source, **_strangers(chosen, strangers)}))


def changes() -> Iterator[tuple[str, Callable[[Floats], Floats]]]:
    """What is done to a picture, by name.

    Example:
        >>> len(dict(changes()))
        24
    """
    for (shape, place), (name, ground) in product(_SHAPES.items(), _GROUNDS.items()):
        yield f"{shape} on {name}", lambda film, p=place, g=ground: p(film, g)  # type: ignore[misc]


def _two_ovals(film: Floats, ground: Ground, soft: float = 0.0) -> Floats:
    height, width = film.shape
    mask = np.zeros_like(film)
    for middle in (round(width * 0.31), round(width * 0.69)):
        cv2.ellipse(mask, (middle, height // 2), (width // 6, height // 3), 0, 0, 360, 1, -1)
    return _on(film, mask, ground, soft)


def _soft_oval(film: Floats, ground: Ground) -> Floats:
    height, width = film.shape
    mask = np.zeros_like(film)
    cv2.ellipse(
        mask, (width // 2, height // 2), (round(width * 0.36), round(height * 0.36)), 0, 0, 360, 1, -1
    )
    return _on(film, mask, ground, 0.02 * max(film.shape))


def _laid_elsewhere(film: Floats, ground: Ground) -> Floats:
    """The middle, 0.6 of both sides, in a corner of a picture of the same size."""
    height, width = film.shape
    part = film[round(height * 0.2) : round(height * 0.8), round(width * 0.2) : round(width * 0.8)]
    laid, mask = np.zeros_like(film), np.zeros_like(film)
    laid[: part.shape[0], : part.shape[1]] = part
    mask[: part.shape[0], : part.shape[1]] = 1
    return _on(laid, mask, ground, 0.0)


def _framed(film: Floats, ground: Ground) -> Floats:
    """The whole picture at 0.6 of its size in the middle of one of the same size."""
    height, width = film.shape
    size = (round(width * 0.6), round(height * 0.6))
    small = cv2.resize(film, size, interpolation=cv2.INTER_AREA)
    laid, mask = np.zeros_like(film), np.zeros_like(film)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    laid[top : top + size[1], left : left + size[0]] = small
    mask[top : top + size[1], left : left + size[0]] = 1
    return _on(laid, mask, ground, 0.0)


def _on(film: Floats, mask: Floats, ground: Ground, soft: float) -> Floats:
    edge = cv2.GaussianBlur(mask, (0, 0), soft) if soft else mask
    laid = edge * film + (1 - edge) * ground(film, mask)
    return np.asarray(np.rint(np.clip(laid, 0, 255)), np.float32)


def _smeared(film: Floats, mask: Floats) -> Floats:
    """What the edge leaves where it is drawn out over the ground: a blur that knows the inside only."""
    found, known = film * mask, mask.copy()
    for sigma in (2.0, 8.0, 32.0, 128.0):
        near = cv2.GaussianBlur(found, (0, 0), sigma) / np.maximum(
            cv2.GaussianBlur(known, (0, 0), sigma), 1e-4
        )
        reached = (cv2.GaussianBlur(known, (0, 0), sigma) > 1e-2) & (known == 0)
        found[reached], known[reached] = near[reached], 1
    return found


def _noise(film: Floats, mask: Floats) -> Floats:
    return np.random.default_rng(int(film.sum()) % 2**31).uniform(0, 255, film.shape).astype(np.float32)


_SHAPES = {
    "two ovals": _two_ovals,
    "one soft oval": _soft_oval,
    "a part laid elsewhere": _laid_elsewhere,
    "smaller, in a frame": _framed,
}
_GROUNDS: dict[str, Ground] = {
    "black": lambda film, mask: np.zeros_like(film),
    "white": lambda film, mask: np.full_like(film, 255),
    "grey": lambda film, mask: np.full_like(film, 128),
    "its mean": lambda film, mask: np.full_like(film, film[mask > 0].mean()),
    "noise": _noise,
    "its edge, smeared": _smeared,
}


def _strangers(films: list[Floats], most: int) -> dict[str, object]:
    """How many pairs of strangers are called copies with one masked, and with both masked to one shape."""
    kept = [find_keypoints(film).to_bytes() for film in films]
    hits = KeypointIndex(kept).nearest(kept, _NEAREST)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in zip(hits.query, hits.found, strict=True) if a != b})
    named = dict(changes())
    tried = one = both = repeats = 0
    for i, j in pairs[:most]:
        a, b = films[i], films[j]
        if is_found(a, b):
            repeats += 1
            continue
        for change in named.values():
            tried += 1
            one += is_found(a, change(b))
            both += is_found(change(a), change(b))
    return {"checks of strangers": tried, "one masked": one, "both masked": both, "repeats left out": repeats}


def sized(film: Floats) -> Floats:
    """A picture of grey levels 0 to 255, no larger than the check needs.

    Args:
        film: ``(height, width)`` in any range.

    Example:
        >>> float(sized(np.arange(600, dtype=np.float32).reshape(20, 30)).max())
        255.0
    """
    scale = min(1.0, _LARGEST / max(film.shape))
    size = (max(1, round(film.shape[1] * scale)), max(1, round(film.shape[0] * scale)))
    small = cv2.resize(film, size, interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (0.5, 99.5))
    return np.asarray(np.clip((small - low) * (255 / max(float(high - low), 1e-6)), 0, 255), np.float32)


if __name__ == "__main__":
    run_command(masked_copies)
