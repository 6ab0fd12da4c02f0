"""Everything that one run holds, in one noun that is handed down through the rooms.

The rooms below name :class:`RunContext` in annotations only. They read from it; it is made here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from leakscan.engines import start_engine
from leakscan.engines.memory import MemoryWatch, shared_out
from leakscan.engines.threads import cores
from leakscan.fingerprint.encoders.film.detail_shelf import DetailShelf
from leakscan.fingerprint.project_key import ProjectKey
from leakscan.fingerprint.spans import Span
from leakscan.run.memory import PairMemory
from leakscan.run.models import Models, load_encoders, load_models
from leakscan.run.notebook_progress import usual_progress
from leakscan.run.places import earlier_cache, key_place, make_cache
from leakscan.run.project_keys import project_key, turned_cohorts
from leakscan.run.timeline import Timeline
from leakscan.settings import Settings
from leakscan.sources.identity import IdentityKey
from leakscan.types import Engine, Progress


class TimeBudget:
    """The wall time that copy checks and detail matches may take together.

    Args:
        seconds: How much there is; the clock starts with :meth:`start`.

    Example:
        >>> budget = TimeBudget(60.0)
        >>> budget.left  # the clock stands still until it is started
        60.0
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: float | None = None

    def start(self) -> None:
        """Starts the clock, unless it runs already."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._seconds

    @property
    def left(self) -> float:
        """Seconds that remain, never below 0."""
        if self._deadline is None:
            return self._seconds
        return max(0.0, self._deadline - time.monotonic())


@dataclass(kw_only=True)
class Timings:
    """Where the time of a run went, in seconds.

    Attributes:
        began: The reading of the monotonic clock at the start of the run.
        scan: Finding files and reading headers.
        prepare: Waiting for workers that decode and hash.
        encode: Computing fingerprints in this process: on a GPU, or of volumes.
        images_read: Images that were decoded in this run; the others came from a store.
        worked: Seconds that all workers together spent on reading images, by stage.
    """

    began: float = field(default_factory=time.monotonic)
    scan: float = 0.0
    prepare: float = 0.0
    encode: float = 0.0
    images_read: int = 0
    worked: dict[str, float] = field(default_factory=dict)

    def add(self, spans: Iterable[Span]) -> None:
        """Adds what a worker, or this process in its place, did with one image."""
        for span in spans:
            self.worked[span.stage] = self.worked.get(span.stage, 0.0) + span.seconds


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What one run holds, from its first file to its report.

    Attributes:
        settings: What the user chose.
        engine: What runs a function over items.
        models: The encoders, and what belongs to them.
        memory: What earlier runs saw of pairs; every new finding is written to it at once.
        progress: Receives how far the run is.
        budget: The wall time for copy checks and detail matches.
        timings: Where the time went so far.
        notices: What a user should know of the sources, in sentences; the summary has them as warnings.
        patterns_met: The patterns to leave out that met something in a source.
        sources: What each dataset was made from, by its name; filled when sources are opened.
        timeline: What was done when, and how busy the processors were.
        compared_before: The names of datasets that an earlier run compared with each other.
        project_key: The secret under which fingerprints and hashes are put; ``None`` for none.

    Example::

        context = RunContext.open(Settings.of(workers=4))
        print(*context.models.cards, "and", context.budget.left, "seconds for checks")
    """

    settings: Settings
    engine: Engine
    models: Models
    memory: PairMemory
    progress: Progress
    budget: TimeBudget
    timings: Timings
    notices: list[str] = field(default_factory=list)
    patterns_met: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)
    timeline: Timeline | None = None
    compared_before: set[str] = field(default_factory=set)
    project_key: ProjectKey | None = None

    @cached_property
    def shelf(self) -> DetailShelf:
        """The details of the films that this run read."""
        return DetailShelf(self.settings.limits.cache)

    @classmethod
    def open(cls, settings: Settings, progress: Progress | None = None, decides: bool = True) -> RunContext:
        """Loads the models and builds the engine. Nothing is written before it is needed.

        Args:
            settings: What the user chose.
            progress: Receives how far the run is.
            decides: Whether pairs are decided; a run that only fingerprints needs no calibrations.

        Raises:
            ModelError: An encoder or a calibration is damaged, or does not belong here.
        """
        timings = Timings()
        limits = settings.limits
        if limits.max_memory_mb is not None:
            wanted = cores() if limits.workers is None else limits.workers
            shares = shared_out(limits.max_memory_mb, wanted)
            pixels = min(settings.reading.max_pixels, shares.max_pixels)
            settings = settings.with_choices({"max_pixels": pixels, "workers": shares.workers})
            limits = settings.limits
        watch = None if limits.max_memory_mb is None else MemoryWatch(limits.max_memory_mb)
        engine = start_engine(limits.workers, limits.engine, limits.address)
        timeline = Timeline(engine, progress or usual_progress(), watch)
        preferred, own = settings.reading.encoder, settings.deciding.calibration
        secret = project_key(settings)
        models = load_models(preferred, own) if decides else Models(load_encoders(preferred), {}, {})
        return cls(
            settings=settings,
            engine=timeline.engine,
            models=replace(models, calibrations=turned_cohorts(models.calibrations, secret)),
            memory=PairMemory(settings.limits.cache / "pairs.sqlite3"),
            progress=timeline.progress,
            budget=TimeBudget(settings.limits.check_seconds),
            timings=timings,
            notices=earlier_cache(settings),
            timeline=timeline,
            project_key=secret,
        )

    @cached_property
    def key(self) -> IdentityKey:
        """The project's identity key, made, like the cache folder, at first use."""
        make_cache(self.settings.limits.cache)
        return IdentityKey(key_place(self.settings))
