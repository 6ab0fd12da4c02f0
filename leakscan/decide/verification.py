"""Runs the verifiers over candidate pairs: best first, in workers, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from leakscan.decide.verify import Verification
from leakscan.decide.verify.keypoints import PictureFeatures, describe
from leakscan.decide.verify.radiograph import verify_pictures
from leakscan.decide.verify.volume import verify_volumes
from leakscan.decide.verify.volume_features import VolumeFeatures, describe_volume
from leakscan.errors import ImageError
from leakscan.sources.formats import decode
from leakscan.types import DecodedImage, DecodeOptions, Engine, ImageRef, Progress

Pixels = ImageRef | bytes
"""Where the pixels of an image come from: its files, or the preview of a store."""

_WINDOW = {2: 1024, 3: 128}
"""Pairs looked at together, by dimension: their features are in memory at once."""

Features = PictureFeatures | VolumeFeatures


@dataclass(frozen=True)
class Task:
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


def verify_tasks(
    tasks: Sequence[Task], engine: Engine, options: DecodeOptions, seconds: float, progress: Progress
) -> list[Verification | None]:
    """Verifies pairs in the given order until the time is up.

    Pairs are taken a window at a time: first the features of the window's images are computed, each
    once, then its pairs are looked at.

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
    out: list[Verification | None] = [None] * len(tasks)
    for ndim, size in _WINDOW.items():
        order = [i for i, task in enumerate(tasks) if task.ndim == ndim]
        features: dict[str, Features | None] = {}
        for start in range(0, len(order), size):
            window = order[start : start + size]
            features = _window_features([tasks[i] for i in window], features, engine, options)
            pairs = ((features[tasks[i].key_a], features[tasks[i].key_b]) for i in _until(window, deadline))
            for i, verification in zip(window, engine.map(_verify, pairs), strict=False):
                out[i] = verification
                progress.advance()
            if time.monotonic() > deadline:
                return out
    return out


def _window_features(
    tasks: Sequence[Task], known: Mapping[str, Features | None], engine: Engine, options: DecodeOptions
) -> dict[str, Features | None]:
    """Features of every image of a window, taking over those of the window before."""
    needed = {key: pixels for task in tasks for key, pixels in ((task.key_a, task.a), (task.key_b, task.b))}
    missing = {key: pixels for key, pixels in needed.items() if key not in known}
    described = engine.map(partial(_describe, ndim=tasks[0].ndim, options=options), missing.values())
    fresh = dict(zip(missing, described, strict=True))
    return {key: fresh[key] if key in fresh else known[key] for key in needed}


def _until(window: Sequence[int], deadline: float) -> Iterator[int]:
    for i in window:
        if time.monotonic() > deadline:
            return
        yield i


def _describe(pixels: Pixels, ndim: int, options: DecodeOptions) -> Features | None:
    try:
        image = _load(pixels, options)
    except (ImageError, OSError):
        return None
    return describe(image.values) if ndim == 2 else describe_volume(image.values, image.spacing_mm)


def _load(pixels: Pixels, options: DecodeOptions) -> DecodedImage:
    if isinstance(pixels, ImageRef):
        return decode(pixels, options)
    grey = np.asarray(cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED))
    return DecodedImage(grey, grey.astype(np.float32))


def _verify(pair: tuple[Features | None, Features | None]) -> Verification | None:
    a, b = pair
    if isinstance(a, PictureFeatures) and isinstance(b, PictureFeatures):
        return verify_pictures(a, b)
    if isinstance(a, VolumeFeatures) and isinstance(b, VolumeFeatures):
        return verify_volumes(a, b)
    return None
