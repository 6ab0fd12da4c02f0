"""Runs the verifiers over candidate pairs: best first, in workers, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.copies.keypoints import PictureFeatures, describe, glance, worth_a_check
from leakscan.decide.copies.picture_check import check_pictures
from leakscan.decide.copies.volume_check import check_volumes
from leakscan.decide.copies.volume_features import VolumeFeatures, describe_volume
from leakscan.errors import ImageError
from leakscan.sources.formats import decode
from leakscan.types import DecodedImage, DecodeOptions, Engine, ImageRef, Progress

R = TypeVar("R")

Pixels = ImageRef | bytes
"""Where the pixels of an image come from: its files, or the preview of a store."""

_WINDOW = {2: 1024, 3: 128}
"""Pairs looked at together, by dimension: their features are in memory at once."""

_KEPT = 3000
"""Features kept from window to window: 60 kB each at a glance, 200 kB in full, 1 MB of a volume."""
_CHUNK = 16  # pairs or pictures a worker gets at a time

Features = PictureFeatures | VolumeFeatures


@dataclass(frozen=True)
class PixelPair:
    """One pair to look at.

    Attributes:
        key_a: names the image within this run.
        key_b: likewise.
        a: pixels.
        b: pixels.
        ndim: 2 or 3.
    """

    key_a: str
    key_b: str
    a: Pixels
    b: Pixels
    ndim: int


def check_copies(
    tasks: Sequence[PixelPair], engine: Engine, options: DecodeOptions, seconds: float, progress: Progress
) -> list[CopyCheck | None]:
    """Verifies pairs in the given order until the time is up.

    Pairs are taken a window at a time, and every image of a window is described once. Pictures are
    first compared at a glance; only what passes is described in full and verified.

    Args:
        tasks: best first.
        engine: runs them.
        options: for decoding.
        seconds: of wall time; the rest stay unverified.
        progress: is told.

    Returns:
        One entry per task: ``None`` for a pair that was not reached or whose files have become
        unreadable.
    """
    progress.start("Verifying pairs", len(tasks))
    deadline = time.monotonic() + seconds
    out: list[CopyCheck | None] = [None] * len(tasks)
    for ndim, size in _WINDOW.items():
        order = [i for i, task in enumerate(tasks) if task.ndim == ndim]
        glances: dict[str, Features | None] = {}
        features: dict[str, Features | None] = {}
        for start in range(0, len(order), size):
            window = order[start : start + size]
            if ndim == 2:
                glances = window_features([tasks[i] for i in window], glances, glance_at, engine, options)
                seen = over_pairs(_glance_pair, window, tasks, glances, engine, deadline)
                for i in window:
                    out[i] = NOT_ALIGNED if seen.get(i) is False else None
                window = [i for i in window if seen.get(i)]
            features = window_features(
                [tasks[i] for i in window], features, describe_in_full, engine, options
            )
            for i, verification in over_pairs(_verify, window, tasks, features, engine, deadline).items():
                out[i] = verification
            progress.advance(min(size, len(order) - start))
            if time.monotonic() > deadline:
                return out
    return out


def over_pairs(
    function: Callable[[tuple[Features | None, Features | None]], R],
    window: Sequence[int],
    tasks: Sequence[PixelPair],
    features: Mapping[str, Features | None],
    engine: Engine,
    deadline: float,
) -> dict[int, R]:
    """A function of the features of every pair of a window, as far as the time reaches."""
    pairs = ((features[tasks[i].key_a], features[tasks[i].key_b]) for i in _until(window, deadline))
    return dict(zip(window, engine.map(function, pairs, _CHUNK), strict=False))


def window_features(
    tasks: Sequence[PixelPair],
    known: Mapping[str, Features | None],
    describer: Callable[[DecodedImage], Features],
    engine: Engine,
    options: DecodeOptions,
    most: int = _KEPT,
) -> dict[str, Features | None]:
    """Features of every image of a window, and of the windows before while there are at most ``most``."""
    needed = {key: pixels for task in tasks for key, pixels in ((task.key_a, task.a), (task.key_b, task.b))}
    missing = {key: pixels for key, pixels in needed.items() if key not in known}
    described = engine.map(partial(_describe, describer=describer, options=options), missing.values())
    fresh = dict(zip(missing, described, strict=True))
    # What this window needs goes to the end; the front, unused for longest, makes room.
    current = {key: fresh[key] if key in fresh else known[key] for key in needed}
    others = [key for key in known if key not in needed]
    room = max(0, most - len(current))
    kept = others[len(others) - min(room, len(others)) :]
    return {**{key: known[key] for key in kept}, **current}


def _until(window: Sequence[int], deadline: float) -> Iterator[int]:
    for i in window:
        if time.monotonic() > deadline:
            return
        yield i


def _describe(
    pixels: Pixels, describer: Callable[[DecodedImage], Features], options: DecodeOptions
) -> Features | None:
    try:
        return describer(load_pixels(pixels, options))
    except (ImageError, OSError):
        return None


def glance_at(image: DecodedImage) -> Features:
    """Features for a glance at a picture."""
    return glance(image.values)


def describe_in_full(image: DecodedImage) -> Features:
    """Features for verifying a picture or volume."""
    return (
        describe(image.values) if image.values.ndim == 2 else describe_volume(image.values, image.spacing_mm)
    )


def _glance_pair(pair: tuple[Features | None, Features | None]) -> bool | None:
    a, b = pair
    if isinstance(a, PictureFeatures) and isinstance(b, PictureFeatures):
        return worth_a_check(a, b)
    return None


def load_pixels(pixels: Pixels, options: DecodeOptions) -> DecodedImage:
    """Decodes an image from its files or its preview.

    Raises:
        ImageError: it cannot be read.
        OSError: likewise.
    """
    if isinstance(pixels, ImageRef):
        return decode(pixels, options)
    grey = np.asarray(cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED))
    return DecodedImage(grey, grey.astype(np.float32))


def _verify(pair: tuple[Features | None, Features | None]) -> CopyCheck | None:
    a, b = pair
    if isinstance(a, PictureFeatures) and isinstance(b, PictureFeatures):
        return check_pictures(a, b)
    if isinstance(a, VolumeFeatures) and isinstance(b, VolumeFeatures):
        return check_volumes(a, b)
    return None
