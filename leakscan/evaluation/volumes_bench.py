"""The benchmark behind ``leakscan bench volumes``: the main job on brains, beside their encoder alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from leakscan.errors import UsageError
from leakscan.evaluation.bench import one_per_subject, run_figures
from leakscan.evaluation.measured_run import run_compare
from leakscan.evaluation.speed_bench import encoder_seconds
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM, canonical_volume
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.types import ImageRef, Progress, Silent

_ENCODED = 8
"""Volumes of each folder whose encoding alone is timed: it takes a second each."""


def volumes_bench(
    sources: Sequence[str],
    work: Path,
    volumes: int,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Times the first and the second run on two folders of volumes of different people, files as they are.

    Beside them stands the encoder alone, in as many processes as a run has, on some of the volumes. All is
    measured one after the other, so on a busy machine the ratios say more than the seconds.

    Args:
        sources: Folders or manifests with twice as many volumes; of a declared subject the first is used.
        work: An empty folder to work in.
        volumes: The number of volumes in each of the two folders.
        exclude: Patterns of files to leave out, label maps say.
        progress: Receives what is being done.

    Raises:
        LeakscanError: There are too few volumes, or the run failed.

    Example::

        found = volumes_bench(["ixi/manifest.csv"], fresh_folder(Path("bench")), volumes=50)
        print(found["first"]["seconds"], found["over_encoder"])
    """
    progress = progress or Silent()
    progress.start("Copying volumes", 2 * volumes)
    folders = [work / "volumes" / name for name in "AB"]
    chosen = _copied(sources, folders, volumes, exclude, progress)
    progress.start("Encoding alone", None)
    some = [refs[:_ENCODED] for refs in chosen]
    alone = encoder_seconds("brain_mri", [_canonical(ref) for refs in some for ref in refs])
    alone *= 2 * volumes / sum(map(len, some))
    progress.start("Comparing", None)
    first = run_compare(folders, work / "run", work / "cache")
    progress.start("Comparing again", None)
    second = run_compare(folders, work / "run", work / "cache")
    progress.finish()
    return {
        "volumes": [volumes, volumes],
        "encoder_alone_s": round(alone, 1),
        "first": run_figures(first),
        "second": run_figures(second),
        "over_encoder": round(first.seconds / alone, 2) if alone else None,
    }


def _copied(
    sources: Sequence[str], folders: Sequence[Path], volumes: int, exclude: Sequence[str], progress: Progress
) -> list[list[ImageRef]]:
    """Copies volumes into the folders, one of each by turns."""
    found = list(islice(_volumes(sources, exclude), 2 * volumes))
    if len(found) < 2 * volumes:
        raise UsageError(
            f"{2 * volumes} volumes of different people, in files of their own, are needed; "
            f"{len(found)} are there.",
            "Ask for fewer volumes.",
            code="few_volumes",
        )
    for number, ref in enumerate(found):
        target = folders[number % 2] / f"{number:06d}"
        target.mkdir(parents=True)
        for file in ref.files:
            shutil.copy(file, target)
        progress.advance()
    return [found[0::2], found[1::2]]


def _volumes(sources: Sequence[str], exclude: Sequence[str]) -> Iterator[ImageRef]:
    """Volumes that can be read and are files of their own, not parts of archives."""
    for source in sources:
        for ref in one_per_subject(source, exclude):
            if ref.ndim == 3 and all(Path(file).is_file() for file in ref.files):
                yield ref


def _canonical(ref: ImageRef) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = decode(ref, DecodeOptions())
    return np.rint(canonical_volume(image.values, image.spacing_mm, SHAPE, STEP_MM) * 255).astype(np.uint8)
