"""Compares the anatomy of given pairs of pictures on all cores.

Imports nothing heavy: worker processes start with this module.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from leakscan.decide.verification import Features, Task, over_pairs, window_features
from leakscan.decide.verify.anatomy import AnatomyFeatures, AnatomyMatch, compare_anatomy, describe_anatomy
from leakscan.types import DecodedImage, DecodeOptions, Engine, Progress

_WINDOW = 512  # pairs: the features of at most twice as many films are needed at once
_KEPT = 4000  # features kept from window to window, at most 145 kB each


def look_at(
    tasks: Sequence[Task],
    engine: Engine,
    options: DecodeOptions,
    seconds: float,
    progress: Progress,
    known: Mapping[str, Features | None] | None = None,
    kept: int = _KEPT,
) -> tuple[list[AnatomyMatch | None], Mapping[str, Features | None]]:
    """Compares the anatomy of pairs in the given order until the time is up.

    Args:
        tasks: best first; an image is described once while few enough others come between.
        engine: runs them.
        options: for decoding.
        seconds: of wall time.
        progress: is told.
        known: features of images by the tasks' keys, from an earlier call.
        kept: features to keep from window to window.

    Returns:
        One entry per task: ``None`` for a pair that was not reached or cannot be read; and the features
        that were kept.
    """
    progress.start("Comparing anatomy", len(tasks))
    deadline = time.monotonic() + seconds
    out: list[AnatomyMatch | None] = [None] * len(tasks)
    features = known or {}
    for start in range(0, len(tasks), _WINDOW):
        if time.monotonic() > deadline:
            break
        window = range(start, min(start + _WINDOW, len(tasks)))
        features = window_features([tasks[i] for i in window], features, _describe, engine, options, kept)
        for i, match in over_pairs(_compare, window, tasks, features, engine, deadline).items():
            out[i] = match
        progress.advance(len(window))
    return out, features


def _describe(image: DecodedImage) -> Features:
    return describe_anatomy(image.values)


def _compare(pair: tuple[Features | None, Features | None]) -> AnatomyMatch | None:
    a, b = pair
    if isinstance(a, AnatomyFeatures) and isinstance(b, AnatomyFeatures):
        return compare_anatomy(a, b)
    return None
