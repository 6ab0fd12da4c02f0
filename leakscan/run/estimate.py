"""What a run will take, before it starts: from a scan of its sources and a sample of their images."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from leakscan.counted import counted
from leakscan.errors import StoreError
from leakscan.fingerprint.encoders.film.detail_shelf import MOST_ASIDE
from leakscan.fingerprint.encoders.load import runs_in_workers
from leakscan.fingerprint.kinds import presumed_kind
from leakscan.fingerprint.pipeline import STORES
from leakscan.fingerprint.prepare import Prepared, Recipe, prepare
from leakscan.fingerprint.row_maker import detail_networks
from leakscan.fingerprint.store import Store
from leakscan.match.index import EXACT_COMPARISONS
from leakscan.run.context import RunContext
from leakscan.run.copies_so_far import copies_so_far
from leakscan.run.given_files import check_files
from leakscan.run.opened import Opened, open_all
from leakscan.run.places import cache_name, check_apart, dataset_names
from leakscan.settings import Settings
from leakscan.sources.found_images import FoundImages
from leakscan.sources.spec import SourceSpec
from leakscan.types import ImageRef, ImageSource, Progress

SAMPLE = 32
"""Images that are read for an estimate."""

LONG = 1_000
"""Images to read from which a run is worth an estimate."""

# Measured with `leakscan bench speed` and `bench search`; docs/scale.md has the figures.
_COMPARISON_SECONDS = 2e-9  # two fingerprints, where every pair is compared
_APPROXIMATE_SECONDS = 0.16  # a processor, for 1,000 x 1,000; grows with images times their square root
_DECIDE_SECONDS = 0.01  # a processor, for a picture whose pixels are at hand
_DECIDE_SECONDS_3D = 0.5
_MAIN_MB, _WORKER_MB = 450, 250
_TABLES = 2.5  # copies of a row's bytes that are in memory at once
_ROW_BYTES = 250  # of a row, beside its fingerprint, keypoints and preview
_FILE_BYTES = 700  # what a file that holds no image takes, in its row and beside it
_DIGITS = 2


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """What a run will take.

    Attributes:
        images: Images in all sources, without files that a scan cannot read.
        to_read: How many of them are to be read; the others stand in stores.
        volumes: How many of those are volumes.
        sampled: How many were read for this estimate.
        workers: Worker processes.
        reading_seconds: The wall time of reading and fingerprinting.
        deciding_seconds: The wall time of search, copy checks and detail matches, at most.
        memory_mb: The most memory of all processes together.
        disk_mb: What the stores in the cache will grow by, and what is put aside until the run ends.
        free_mb: What is free on the disk of the cache.
    """

    images: int
    to_read: int
    volumes: int
    sampled: int
    workers: int
    reading_seconds: float
    deciding_seconds: float
    memory_mb: int
    disk_mb: int
    free_mb: int

    @property
    def sentence(self) -> str:
        """The estimate in words."""
        said = (
            f"{self.to_read:,} of {counted(self.images, 'image')} to read: about "
            f"{_time(self.reading_seconds)} with {counted(max(1, self.workers), 'worker')}, then up to "
            f"{_time(self.deciding_seconds)} to compare; about {self.memory_mb:,} MB of memory and "
            f"{self.disk_mb:,} MB of disk"
        )
        room = "" if self.disk_mb <= self.free_mb else f", of which only {self.free_mb:,} MB are free"
        return f"{said}{room}."

    def as_data(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def estimate(
    *sources: str | os.PathLike[str],
    settings: Settings | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> RunEstimate:
    """Estimates a run and writes nothing.

    Args:
        sources: One or more folders, manifests, or fingerprint stores.
        settings: The choices; the defaults suit most runs.
        progress: Receives how far the scan is.
        choices: Single settings by name, over ``settings``.

    Raises:
        LeakscanError: What the run itself would raise before its first image.

    Example::

        print(estimate("hospital_a", "hospital_b").sentence)
    """
    settings = Settings.given(settings, choices, also=("settings", "progress"))
    check_files(settings)
    specs = [SourceSpec.parse(source) for source in sources]
    check_apart(specs, settings.reading.exclude)
    opened = open_all(specs, dataset_names(specs, settings.privacy.hide_paths), settings)
    found, _ = foretold(opened, RunContext.open(settings, progress))
    return found


def announced(opened: Sequence[Opened], context: RunContext) -> list[Opened]:
    """Scans sources, and where much is to be read says what the run will take, and which copies are sure.

    Args:
        opened: The sources of the run.
        context: The run; its progress receives the sentences.

    Returns:
        The sources for the run, which need not be scanned again.

    Raises:
        SourceError: A source cannot be read.

    Example::

        datasets = load_datasets(announced(opened, context), context)
    """
    scanned = [_scanned(one, context) for one in opened]
    if sum(len(_unread(one, context)) for one in scanned) >= LONG:
        found, scanned = foretold(scanned, context)
        context.progress.tell(found.sentence)
        refs = {one.name: _refs(one) for one in scanned}
        for sentence in copies_so_far(refs, context.progress, context.compared_before):
            context.progress.tell(sentence)
    return scanned


def foretold(opened: Sequence[Opened], context: RunContext) -> tuple[RunEstimate, list[Opened]]:
    """Scans sources, reads a sample of them, and estimates the run.

    Args:
        opened: The sources of the run.
        context: The run.

    Returns:
        The estimate, and the sources for the run, which need not be scanned again.

    Raises:
        SourceError: A source cannot be read.

    Example::

        found, opened = foretold(opened, context)
        datasets = load_datasets(opened, context)
    """
    scanned = [_scanned(one, context) for one in opened]
    sizes = [_size(one) for one in scanned]
    fresh = [ref for one in scanned for ref in _unread(one, context)]
    sample = _spread(fresh, SAMPLE)
    worked, size, aside = _read(sample, context)
    workers = context.engine.workers
    volumes = sum(ref.ndim == 3 for ref in fresh)
    images = sum(sizes)
    files = sum(len(_found(one)) for one in scanned) - sum(len(_refs(one)) for one in scanned)
    row = size if sample else _ROW_BYTES + 2_300.0
    return (
        RunEstimate(
            images=images,
            to_read=len(fresh),
            volumes=volumes,
            sampled=len(sample),
            workers=workers,
            reading_seconds=_rounded(len(fresh) * worked / max(1, workers)),
            deciding_seconds=_rounded(_deciding(sizes, volumes, context)),
            memory_mb=round(
                _MAIN_MB + workers * _WORKER_MB + images * row * _TABLES / 1e6 + files * _FILE_BYTES / 1e6
            ),
            disk_mb=math.ceil((len(fresh) * row + min(len(fresh) * aside, MOST_ASIDE)) / 1e6),
            free_mb=_free_mb(context.settings.limits.cache),
        ),
        scanned,
    )


class ScannedSource:
    """A source that was scanned, and gives what was found again.

    Args:
        source: The source.
        found: What its scan found.

    Example::

        again = ScannedSource(source, FoundImages(source.scan(progress)))
        list(again.scan(progress))  # at once
    """

    def __init__(self, source: ImageSource, found: FoundImages) -> None:
        self._source, self.found = source, found
        self.name = source.name

    def scan(self, progress: Progress) -> Iterator[ImageRef]:
        """See :class:`leakscan.types.ImageSource`."""
        return iter(self.found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def _scanned(one: Opened, context: RunContext) -> Opened:
    if isinstance(one.images, (Store, ScannedSource)):
        return one
    return replace(one, images=ScannedSource(one.images, FoundImages.of(one.images, context.progress)))


def _size(one: Opened) -> int:
    return sum(map(len, one.images.parts())) if isinstance(one.images, Store) else len(_refs(one))


def _refs(one: Opened) -> list[ImageRef]:
    """The images of a source that can be read."""
    return [ref for ref in _found(one).whole if ref.status == "ok"]


def _found(one: Opened) -> FoundImages:
    return one.images.found if isinstance(one.images, ScannedSource) else FoundImages()


def _unread(one: Opened, context: RunContext) -> list[ImageRef]:
    """The readable images that the cached store of a source lacks. A changed file is not noticed here."""
    cache, refs = context.settings.limits.cache, _refs(one)
    if not os.path.isdir(cache):  # noqa: PTH112 - where it may not be entered, the run says so
        return refs
    try:
        store = Store.open(cache / STORES / cache_name(one.spec, context.key.key_id))
    except StoreError:
        return refs
    known = store.known_of([ref.image_id for ref in refs])
    return [ref for ref in refs if ref.image_id not in known]


def _spread(refs: Sequence[ImageRef], number: int) -> list[ImageRef]:
    """A number of images from all over a list."""
    if len(refs) <= number:
        return list(refs)
    return [refs[i * len(refs) // number] for i in range(number)]


def _read(sample: Sequence[ImageRef], context: RunContext) -> tuple[float, float, float]:
    """The mean seconds of a processor that an image takes, bytes of its row, and bytes put aside."""
    if not sample:
        return 0.0, 0.0, 0.0
    encoders, asked = context.models.encoders, context.settings.reading.kind
    items = [(ref, presumed_kind(ref, asked)[0]) for ref in sample]
    needed = {kind for _, kind in items} & set(encoders)
    recipe = Recipe(
        options=context.settings.reading,
        sides={kind: encoders[kind].card.side for kind in needed},
        encoders={
            kind: str(encoders[kind].folder)
            for kind in needed
            if runs_in_workers(encoders[kind].card, encoders[kind].folder)
        },
        detail_networks=detail_networks(context.models, needed),
    )
    context.progress.start("Reading a sample", len(sample))
    seconds = size = aside = 0.0
    chunk = 1 if any(ref.ndim == 3 for ref in sample) else 4
    for prepared in context.engine.map(partial(prepare, recipe=recipe), items, chunk):
        seconds += _worked(prepared)
        size += _row_bytes(prepared)
        aside += len(prepared.details or b"")
        context.progress.advance()
    return seconds / len(sample), size / len(sample), aside / len(sample)


def _worked(prepared: Prepared) -> float:
    return sum(span.seconds for span in prepared.spans)


def _row_bytes(prepared: Prepared) -> float:
    prints = 0 if prepared.encoding is None else prepared.encoding.fingerprint.nbytes
    return _ROW_BYTES + prints + len(prepared.keypoints or b"") + len(prepared.preview or b"")


def _deciding(sizes: Sequence[int], volumes: int, context: RunContext) -> float:
    """Seconds for search, and for checks as far as their time reaches."""
    workers = max(1, context.engine.workers)
    search = 0.0
    for i, one in enumerate(sizes):
        for other in sizes[:i]:
            pairs = one * other
            exact = pairs * _COMPARISON_SECONDS
            near = _APPROXIMATE_SECONDS * (math.sqrt(pairs) / 1_000) ** 1.5
            search += (exact if pairs <= EXACT_COMPARISONS else near) / workers
    checks = ((sum(sizes) - volumes) * _DECIDE_SECONDS + volumes * _DECIDE_SECONDS_3D) / workers
    return search + min(checks, context.settings.limits.check_seconds)


def _free_mb(folder: Path) -> int:
    while not folder.is_dir():
        folder = folder.absolute().parent
    return round(shutil.disk_usage(folder).free / 1e6)


def _rounded(seconds: float) -> float:
    """With as many digits as an estimate deserves."""
    return float(f"{seconds:.{_DIGITS}g}")


def _time(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
