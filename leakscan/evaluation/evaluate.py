"""The job behind ``leakscan evaluate``: how well encoders tell people apart, on labelled images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import leakscan
from leakscan.engines import start_engine
from leakscan.error_rates import WEIGHTINGS, resampled_mean
from leakscan.errors import UsageError
from leakscan.evaluation.compared_rates import Figure, compared_figures
from leakscan.evaluation.detail_ranking import detail_matcher_of, detail_ranking_figures
from leakscan.evaluation.embeddings import Embedded, EncoderSystem, embed_images, systems_for
from leakscan.evaluation.episodes import (
    SETTINGS,
    Episodes,
    draw_episodes,
    episode_figures,
    score_episodes,
    setting_name,
)
from leakscan.evaluation.evaluation_report import check_folder, write_evaluation
from leakscan.evaluation.fusion import fused_figures, too_few
from leakscan.evaluation.labelled_images import (
    VOLUMES,
    LabelledImage,
    LeftOut,
    check_subjects,
    images_to_train_on,
    labels_of,
    list_images,
)
from leakscan.evaluation.pairing import Compared, compare_images
from leakscan.evaluation.plots import Plotted, draw_plots, require_plotting, silhouette
from leakscan.evaluation.protocols import ALL, ImageLabels, Protocol, protocols
from leakscan.evaluation.systems import Role, System, Vectors
from leakscan.settings import DecodeOptions
from leakscan.subject_bootstrap import Draws, subject_draws
from leakscan.types import Kind, Progress, Silent

REDUCED = "reduced_128"
_KINDS: tuple[Kind, ...] = ("chest_radiograph", *VOLUMES)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What a user can choose.

    Attributes:
        split: The value of the manifest's column ``split``; all rows if ``None``.
        kind: The kind of the images: chest radiographs or volumes of the brain.
        encoders: Names of encoders; every encoder of the kind if empty.
        baselines: Whether pHash, untrained networks and ImageNet features are measured as well.
        details: Whether the detail matches of encoders of films are measured as well.
        decode: The limits for reading.
        workers: The number of worker processes; ``None`` for one per core.
        draws: The number of resamplings behind an interval.
        seed: The seed of episodes, resampling and pictures.
    """

    split: str | None = None
    kind: Kind = "chest_radiograph"
    encoders: tuple[str, ...] = ()
    baselines: bool = True
    details: bool = True
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    workers: int | None = None
    draws: int = 500
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Material:
    """What is measured: the systems, and what they made of the images.

    Attributes:
        systems: The systems, encoders first.
        images: The images that could be read.
        embedded: What the systems made of them.
        labels: What is declared of them.
        draws: ``(draws, n_subjects)`` the resamplings behind intervals.
        options: The choices of the user.
    """

    systems: Sequence[System]
    images: Sequence[LabelledImage]
    embedded: Embedded
    labels: ImageLabels
    draws: Draws
    options: EvaluateOptions


@dataclass(frozen=True)
class _Measured:
    """Everything that was measured: rows of the table, and what the plots need."""

    rows: list[dict[str, Any]]
    compared: dict[str, Compared]
    missing: list[str]


def evaluate(
    manifest: Path,
    output: Path,
    options: EvaluateOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measures encoders and baselines on a manifest and writes a folder.

    Args:
        manifest: CSV or Parquet with ``path`` and ``subject_id``, and if known ``split``,
            ``source_width_px``, ``view``, ``contrast``, ``sex``, ``follow_up``, ``acquired``.
        output: The folder for ``evaluation.parquet``, ``.json``, ``.html`` and the pictures.
        options: The choices of the user.
        overwrite: Whether ``output`` may hold an earlier evaluation.
        progress: Receives how far the work is.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        LeakscanError: An input, a model or the output folder cannot be used; nothing is written then.

    Example::

        found = evaluate(Path("films.csv"), Path("evaluation"))
        print(*found["answer"])
    """
    options, progress = options or EvaluateOptions(), progress or Silent()
    if options.kind not in _KINDS:
        raise UsageError(f"There is no evaluation for {options.kind} yet.", f"Known: {', '.join(_KINDS)}.")
    require_plotting()
    check_folder(output, overwrite)
    began = time.monotonic()
    images, left = list_images(manifest, options.split, options.kind, options.decode, progress)
    systems = systems_for(options.kind, options.encoders, options.baselines)
    embedded = embed_images(
        images, systems, options.kind, start_engine(options.workers), options.decode, progress
    )
    images = [images[i] for i in embedded.kept]
    left = replace(left, unread=left.unread + embedded.unread)
    check_subjects(images, manifest, options.split, left.unread)
    labels = labels_of(images, embedded.images)
    material = _Material(
        systems=systems,
        images=images,
        embedded=embedded,
        labels=labels,
        draws=subject_draws(int(labels.subjects.max()) + 1, options.draws, options.seed),
        options=options,
    )
    measured = _measure(material, _by_detail(material, progress), progress)
    progress.start("Drawing and writing", None)
    roles: dict[str, Role] = {system.name: system.role for system in systems}
    pictures = draw_plots(
        [Plotted(s.name, s.role, embedded.plain[s.name], measured.compared[s.name]) for s in systems],
        labels.subjects,
        options.seed,
    )
    document = {
        "leakscan": leakscan.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "manifest": manifest.name,
        "split": options.split,
        "kind": options.kind,
        "systems": roles,
        **_counts(material, left, images_to_train_on(manifest, options.split)),
        "gate_refused": {
            s.name: round(1 - float(embedded.accepted[s.name].mean()), 4)
            for s in systems
            if s.role == "encoder"
        },
        "protocols": {p.name: p.words for p in (*protocols(labels), *_reduced(embedded))},
        "not_measured": measured.missing,
        "intervals": f"95 %, {options.draws} resamplings of the subjects",
        "seconds": round(time.monotonic() - began, 1),
    }
    document = write_evaluation(output, document, measured.rows, pictures)
    progress.finish()
    return document


def _measure(material: _Material, by_detail: Mapping[str, Sequence[Figure]], progress: Progress) -> _Measured:
    embedded, labels, draws, seed = material.embedded, material.labels, material.draws, material.options.seed
    chosen = list(protocols(labels))
    missing: list[str] = []
    everyone = list(_episodes(labels, False, seed, missing))
    by_width = list(_episodes(labels, True, seed, missing))
    missing += too_few(labels.subjects)
    rows: list[dict[str, Any]] = []
    compared: dict[str, Compared] = {}
    progress.start("Measuring", len(material.systems) * (len(chosen) + len(_reduced(embedded))))
    for system in material.systems:
        plain = embedded.plain[system.name]
        for protocol in (*chosen, *_reduced(embedded)):
            vectors = embedded.reduced[system.name] if protocol.name == REDUCED else plain
            result = compare_images(vectors, labels.subjects, protocol.rule, seed=seed)
            found = compared_figures(result, draws)
            if protocol is ALL:
                compared[system.name] = result
                found += by_detail.get(system.name, [])
            if protocol.rule is None:
                found += _silhouette(vectors, labels, draws, seed)
                found += _asked(everyone, vectors, labels, draws)
                found += fused_figures(vectors, labels.subjects, draws, seed)
            elif protocol.name == "unequal_width":
                found += _asked(by_width, vectors, labels, draws)
            rows += [_row(system.name, protocol.name, figure, result) for figure in found]
            progress.advance()
    progress.finish()
    missing += [
        f"{p.name}: no genuine pair" for p in chosen if not any(r["protocol"] == p.name for r in rows)
    ]
    return _Measured(rows, compared, missing)


def _by_detail(material: _Material, progress: Progress) -> dict[str, list[Figure]]:
    """System -> what its detail matches bring, for encoders of films that have them."""
    out: dict[str, list[Figure]] = {}
    options = material.options
    for system in material.systems if options.details and options.kind not in VOLUMES else ():
        if not isinstance(system, EncoderSystem):
            continue
        found = detail_matcher_of(
            system, material.images, start_engine(options.workers), options.decode, progress
        )
        if found is not None:
            match, joint = found
            vectors = material.embedded.plain[system.name]
            out[system.name] = detail_ranking_figures(
                vectors, material.labels.subjects, match, joint, material.draws, options.seed
            )
    return out


def _reduced(embedded: Embedded) -> list[Protocol]:
    """The protocol of films reduced to 128 px, where there are films."""
    return [Protocol(REDUCED, None, "all pairs, every film reduced to 128 px")] if embedded.reduced else []


def _episodes(labels: ImageLabels, by_width: bool, seed: int, missing: list[str]) -> Iterator[Episodes]:
    """The same episodes for every system; what there are too few subjects for is said."""
    if by_width and len(np.unique(labels.widths[labels.widths >= 0])) < 2:
        return
    for ways, shots in SETTINGS:
        drawn = draw_episodes(
            labels.subjects, ways, shots, seed=seed, unlike=labels.widths if by_width else None
        )
        if drawn is not None:
            yield drawn
            continue
        has = int((np.bincount(labels.subjects) > shots).sum())
        words = f"{setting_name(ways, shots)}: needs {ways} subjects with {shots + 1} images; there are {has}"
        width = "unequal_width: " if by_width else ""
        missing.append(width + words + (" (and supports of other widths)" if by_width else ""))


def _asked(
    drawn: Sequence[Episodes], vectors: Vectors, labels: ImageLabels, draws: Draws
) -> Iterator[Figure]:
    for episodes in drawn:
        yield from episode_figures(score_episodes(vectors, episodes), episodes, labels.subjects, draws)


def _silhouette(vectors: Vectors, labels: ImageLabels, draws: Draws, seed: int) -> list[Figure]:
    values, owner = silhouette(vectors, labels.subjects, seed)
    if not len(values):
        return []
    return [Figure("silhouette", w, resampled_mean(owner, values, w, draws)) for w in WEIGHTINGS]


def _row(system: str, protocol: str, figure: Figure, compared: Compared) -> dict[str, Any]:
    found = figure.estimate
    return {
        "system": system,
        "protocol": protocol,
        "metric": figure.metric,
        "weighting": figure.weighting,
        "value": found.value,
        "low": None if np.isnan(found.low) else found.low,
        "high": None if np.isnan(found.high) else found.high,
        "n_images": compared.n_images,
        "n_subjects": found.n_subjects,
        "n_genuine": len(compared.genuine),
        "n_impostor": compared.n_impostor,
    }


def _counts(material: _Material, left: LeftOut, trained_on: int) -> dict[str, Any]:
    per = np.bincount(material.labels.subjects)
    hashes = {image.pixel_hash for image in material.embedded.images}
    return {
        "images": len(material.images),
        "subjects": len(per),
        "subjects_with_two_or_more": int((per > 1).sum()),
        "subjects_with_six_or_more": int((per > 5).sum()),
        "of_split_train": trained_on,
        "identical_pictures": len(material.images) - len(hashes),
        "unread": [{"path": path, "error": error} for path, error in left.unread],
        "of_unknown_subject": left.unknown,
        "of_other_views": left.other_views,
        "of_other_shape": left.other_shape,
        "ignored": left.ignored,
    }
