"""The main job, stage by stage: sources to datasets, datasets to pairs, pairs to a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan import tables
from leakscan.decide.found import FOUND
from leakscan.decide.groups import Link, link_subjects
from leakscan.decide.pairs import Comparison, decide_pairs
from leakscan.engines.local import LocalEngine
from leakscan.errors import UsageError
from leakscan.fingerprint.encoders.encoder import Encoder
from leakscan.fingerprint.pipeline import (
    Dataset,
    FingerprintOptions,
    Timings,
    dataset_from_store,
    fingerprint_source,
)
from leakscan.fingerprint.prepare import PrepareOptions
from leakscan.fingerprint.store import Store, StoreInfo, is_store
from leakscan.report.sentences import with_evidence
from leakscan.report.summary import Outcome, Policy, summarise
from leakscan.report.writer import write_run
from leakscan.run.context import RunContext, TimeBudget
from leakscan.run.context import Timings as RunTimings
from leakscan.run.memory import PairMemory
from leakscan.run.models import Models, load_models
from leakscan.run.places import cache_name, check_apart, check_output, dataset_names, make_cache
from leakscan.settings import Settings
from leakscan.sources.identity import IdentityKey
from leakscan.sources.open import open_source
from leakscan.sources.subject_rules import SubjectRule
from leakscan.types import DecodeOptions, ImageSource, Kind, Progress, Silent


@dataclass(frozen=True)
class RunOptions:
    """Everything a user can choose about a run; the defaults are those of the command line.

    Attributes:
        cache: folder for fingerprint stores and the identity key.
        key: file of the identity key; by default inside ``cache``.
        kind: what images are, where their tags leave it open.
        encoder: name of an encoder to prefer.
        calibration: file made by ``leakscan calibrate``, in place of the encoder's own.
        subjects: how paths declare subjects.
        exclude: globs on relative paths to leave out.
        decode: limits for reading.
        same_ids: identifiers mean the same in every source.
        show_subjects: write identifiers in clear.
        hide_paths: write no paths.
        max_pairs: see ``DecideOptions``.
        verify_seconds: see ``DecideOptions``.
        fail_on: weakest relation that makes exit code 1; ``review`` is stricter, ``none`` never.
        max_unread: share of unreadable files above which nothing is vouched for.
        workers: processes; ``None`` for one per core.
    """

    cache: Path = Path(".leakscan")
    key: Path | None = None
    kind: Kind | None = None
    encoder: str | None = None
    calibration: Path | None = None
    subjects: SubjectRule | None = None
    exclude: tuple[str, ...] = ()
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    same_ids: bool = False
    show_subjects: bool = False
    hide_paths: bool = False
    max_pairs: int = 1_000_000
    verify_seconds: float = 600.0
    fail_on: str = "same_subject"
    max_unread: float = 0.01
    workers: int | None = None

    def identity_key(self) -> IdentityKey:
        """The project's key, made at first use."""
        make_cache(self.cache)
        return IdentityKey(self.key or self.cache / "identity.key")


@dataclass(frozen=True)
class Result:
    """What a run found; the tables are those of the run folder.

    Attributes:
        images: one row per image of every dataset.
        fingerprints: one row per image; null where it has no fingerprint.
        pairs: the pairs that are leaks or to be reviewed, strongest first.
        subjects: images linked to the same subject.
        summary: as in ``summary.json``.
        exit_code: 0 no leak, 1 leak, 3 could not vouch.
    """

    images: pa.Table
    fingerprints: pa.Table
    pairs: pa.Table
    subjects: pa.Table
    summary: dict[str, Any]
    exit_code: int


def compare(
    *sources: str | Path,
    output: str | Path | None = None,
    overwrite: bool = False,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> Result:
    """Finds the images in each source that show a subject who is already in another.

    Args:
        sources: two or more directories, manifests, or fingerprint stores.
        output: run folder to write, or ``None`` to write nothing but the cache.
        overwrite: whether ``output`` may exist.
        options: choices; the defaults suit most runs.
        progress: is told how far the run is.

    Raises:
        LeakscanError: of the kinds in :mod:`leakscan.errors`; what was computed stays in the cache.
    """
    options, progress = options or RunOptions(), progress or Silent()
    if len(sources) < 2:
        raise UsageError(
            "A comparison needs two sources.", "leakscan compare A B; inside one: leakscan audit A"
        )
    run_dir = check_output(Path(output), overwrite) if output is not None else None
    check_apart([str(s) for s in sources], options.exclude)
    names = dataset_names([str(s) for s in sources])
    began = time.monotonic()
    opened = open_all([str(s) for s in sources], names, options)
    models = load_models(options.encoder, options.calibration)
    engine, timings = LocalEngine(options.workers), Timings()
    datasets = load_datasets(opened, models.encoders, options, engine, progress, timings)
    return decide_and_report(datasets, models, options, engine, progress, timings, began, run_dir)


def decide_and_report(
    datasets: Sequence[Dataset],
    models: Models,
    options: RunOptions,
    engine: LocalEngine,
    progress: Progress,
    timings: Timings,
    began: float,
    run_dir: Path | None,
    extra: Callable[[pa.Table], dict[str, Any]] | None = None,
    nearest_of_all: bool = False,
) -> Result:
    """Compares every two datasets once and writes the run folder.

    Args:
        datasets: in the order of the columns A and B.
        models: that made their fingerprints.
        options: the user's choices.
        engine: runs the verification.
        progress: is told.
        timings: of what was done so far.
        began: ``time.monotonic()`` at the start of the run.
        run_dir: to write, or ``None``.
        extra: makes the ``audit`` section of the summary from the pairs.
        nearest_of_all: see ``DecideOptions``.
    """
    cards, calibrations = models.cards, models.calibrations
    make_cache(options.cache)
    settings = Settings.of(
        same_ids=options.same_ids,
        max_pairs=options.max_pairs,
        check_seconds=options.verify_seconds,
        max_pixels=options.decode.max_pixels,
        frames=options.decode.frames,
        labels=options.decode.labels,
    )
    context = RunContext(
        settings=settings,
        engine=engine,
        models=models,
        memory=PairMemory(options.cache / "pairs.sqlite3"),
        progress=progress,
        budget=TimeBudget(options.verify_seconds),
        timings=RunTimings(),
    )
    comparisons = decide_pairs(datasets, context, nearest_of_all)
    context.memory.save()
    outcome = _outcome(datasets, comparisons, options)
    policy = Policy(options.fail_on, options.max_unread, options.show_subjects)
    summary = summarise(outcome, cards, calibrations, policy, timings, time.monotonic() - began)
    if extra is not None:
        summary["audit"] = extra(outcome.pairs)
    result = Result(
        outcome.images, outcome.fingerprints, outcome.pairs, outcome.subjects, summary, summary["exit_code"]
    )
    if run_dir is not None:
        progress.start("Writing the report", None)
        refs = {d.name: d.refs for d in datasets}
        write_run(outcome, summary, run_dir, refs, options.decode)
    progress.finish()
    return result


@dataclass(frozen=True)
class Opened:
    """A source that is there, or a store that stands in for one.

    Attributes:
        spec: what the user typed.
        name: of the dataset.
        images: to be fingerprinted, or fingerprinted already.
    """

    spec: str
    name: str
    images: ImageSource | Store


def open_all(specs: Sequence[str], names: Sequence[str], options: RunOptions) -> list[Opened]:
    """Opens every source before work on the first begins: hours may lie between them.

    Args:
        specs: what the user typed.
        names: of the datasets.
        options: the user's choices.

    Raises:
        SourceError: one is not there.
        StoreError: a store is damaged.
    """

    def images(spec: str, name: str) -> ImageSource | Store:
        if is_store(Path(spec)):
            return Store.open(Path(spec))
        return open_source(spec, options.decode, options.exclude, options.subjects, name)

    return [Opened(spec, name, images(spec, name)) for spec, name in zip(specs, names, strict=True)]


def load_datasets(
    opened: Sequence[Opened],
    encoders: Mapping[Kind, Encoder],
    options: RunOptions,
    engine: LocalEngine,
    progress: Progress,
    timings: Timings,
) -> list[Dataset]:
    """Fingerprints sources through their cached stores; stores of others are read first, as they may not fit.

    Raises:
        StoreError: a store is empty, damaged, or made with another encoder.
        LeakscanError: as for :func:`compare`.
    """
    known = {
        i: dataset_from_store(one.images, one.name, encoders)
        for i, one in enumerate(opened)
        if isinstance(one.images, Store)
    }
    for i, one in enumerate(opened):
        if not isinstance(one.images, Store):
            key = options.identity_key().key_id
            info = StoreInfo(one.name, key)
            store = Store.create(options.cache / "stores" / cache_name(one.spec, key), info)
            known[i] = fingerprint(one.images, store, encoders, options, engine, progress, timings)
    return [known[i] for i in range(len(opened))]


def fingerprint(
    source: ImageSource,
    store: Store | None,
    encoders: Mapping[Kind, Encoder],
    options: RunOptions,
    engine: LocalEngine,
    progress: Progress,
    timings: Timings,
    previews: bool = False,
) -> Dataset:
    """Fingerprints a source into a store."""
    sides = tuple((kind, encoder.card.side) for kind, encoder in sorted(encoders.items()))
    prepare = PrepareOptions(options.decode, sides, previews)
    how = FingerprintOptions(options.identity_key(), prepare, options.kind)
    return fingerprint_source(source, store, encoders, how, engine, progress, timings)


def _score_of(row: Mapping[str, Any]) -> float:
    """The score of a pair; one that nothing compared is the weakest."""
    return float("-inf") if row["score"] is None else float(row["score"])


def _outcome(datasets: Sequence[Dataset], comparisons: Sequence[Comparison], options: RunOptions) -> Outcome:
    found = with_evidence(pa.concat_tables([FOUND.empty_table(), *(c.pairs for c in comparisons)]))
    pairs = found.to_pylist()
    images = pa.concat_tables(
        [d.rows.add_column(0, "dataset", pa.array([d.name] * len(d.rows), pa.string())) for d in datasets]
    )
    declared = {
        (dataset, image): subject
        for dataset, image, subject in zip(
            *(images[c].to_pylist() for c in ("dataset", "image_id", "subject")), strict=True
        )
        if subject
    }
    links = [
        Link((r["dataset_a"], r["image_a"]), (r["dataset_b"], r["image_b"]), r["relation"], _score_of(r))
        for r in pairs
        if r["decision"] == "leak"
    ]
    subjects = link_subjects(links, declared)
    outcome = Outcome(
        images.select(tables.IMAGES.names).cast(tables.IMAGES),
        images.select(tables.FINGERPRINTS.names).cast(tables.FINGERPRINTS),
        found,
        tables.from_rows(subjects, tables.SUBJECTS),
        tuple(comparisons),
    )
    if options.show_subjects:
        clear = {(d.name, image): s for d in datasets for image, s in d.subjects.items()}
        outcome = outcome.with_subjects(clear)
    return outcome.without_paths() if options.hide_paths else outcome
