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
from leakscan.engines.local import LocalEngine
from leakscan.error_rates import per_subject, resampled_ratio, subject_draws
from leakscan.errors import UsageError
from leakscan.evaluation.compared_rates import Draws, Figure, figures
from leakscan.evaluation.detail_ranking import detail_figures, detail_match
from leakscan.evaluation.embeddings import Embedded, EncoderSystem, embed, systems_for
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
    Film,
    Left,
    check_subjects,
    images_to_train_on,
    labels_of,
    list_films,
)
from leakscan.evaluation.pairing import Compared, compare_all
from leakscan.evaluation.plots import Plotted, draw_plots, require_plotting, silhouette
from leakscan.evaluation.protocols import ALL, Labels, Protocol, protocols
from leakscan.evaluation.systems import Role, System, Vectors
from leakscan.types import DecodeOptions, Kind, Progress, Silent

REDUCED = "reduced_128"
_KINDS: tuple[Kind, ...] = ("chest_radiograph", *VOLUMES)


@dataclass(frozen=True)
class EvaluateOptions:
    """What a user can choose.

    Attributes:
        split: value of the manifest's column ``split``; all rows if ``None``.
        kind: of the images: chest radiographs or volumes of the brain.
        encoders: names; every encoder of the kind if empty.
        baselines: whether pHash, untrained networks and ImageNet features are measured as well.
        looks: whether the second look of encoders of films is measured as well.
        decode: limits for reading.
        workers: processes; ``None`` for one per core.
        draws: resamplings behind an interval.
        seed: of episodes, resampling and pictures.
    """

    split: str | None = None
    kind: Kind = "chest_radiograph"
    encoders: tuple[str, ...] = ()
    baselines: bool = True
    looks: bool = True
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    workers: int | None = None
    draws: int = 500
    seed: int = 0


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
        output: folder for ``evaluation.parquet``, ``.json``, ``.html`` and the pictures.
        options: choices.
        overwrite: whether ``output`` may hold an earlier evaluation.
        progress: is told.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        LeakscanError: of the kinds in :mod:`leakscan.errors`; nothing is written then.
    """
    options, progress = options or EvaluateOptions(), progress or Silent()
    if options.kind not in _KINDS:
        raise UsageError(f"There is no evaluation for {options.kind} yet.", f"Known: {', '.join(_KINDS)}.")
    require_plotting()
    check_folder(output, overwrite)
    began = time.monotonic()
    films, left = list_films(manifest, options.split, options.kind, options.decode, progress)
    systems = systems_for(options.kind, options.encoders, options.baselines)
    embedded = embed(films, systems, options.kind, LocalEngine(options.workers), options.decode, progress)
    films = [films[i] for i in embedded.kept]
    left = replace(left, unread=left.unread + embedded.unread)
    check_subjects(films, manifest, options.split, left.unread)
    labels = labels_of(films, embedded.looks)
    draws = subject_draws(int(labels.subjects.max()) + 1, options.draws, options.seed)
    looked = _looked(systems, films, embedded, labels, draws, options, progress)
    measured = _measure(systems, embedded, labels, draws, options.seed, progress, looked)
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
        **_counts(films, left, labels, embedded, images_to_train_on(manifest, options.split)),
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


def _measure(
    systems: Sequence[System],
    embedded: Embedded,
    labels: Labels,
    draws: Draws,
    seed: int,
    progress: Progress,
    looked: Mapping[str, Sequence[Figure]],
) -> _Measured:
    chosen = list(protocols(labels))
    missing: list[str] = []
    everyone = list(_episodes(labels, False, seed, missing))
    by_width = list(_episodes(labels, True, seed, missing))
    missing += too_few(labels.subjects)
    rows: list[dict[str, Any]] = []
    compared: dict[str, Compared] = {}
    progress.start("Measuring", len(systems) * (len(chosen) + len(_reduced(embedded))))
    for system in systems:
        plain = embedded.plain[system.name]
        for protocol in (*chosen, *_reduced(embedded)):
            vectors = embedded.reduced[system.name] if protocol.name == REDUCED else plain
            result = compare_all(vectors, labels.subjects, protocol.rule, seed=seed)
            found = figures(result, draws)
            if protocol is ALL:
                compared[system.name] = result
            if protocol is ALL:
                found += looked.get(system.name, [])
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


def _looked(
    systems: Sequence[System],
    films: Sequence[Film],
    embedded: Embedded,
    labels: Labels,
    draws: Draws,
    options: EvaluateOptions,
    progress: Progress,
) -> dict[str, list[Figure]]:
    """System -> what its second look brings, for encoders of films that have one."""
    out: dict[str, list[Figure]] = {}
    for system in systems if options.looks and options.kind not in VOLUMES else ():
        if not isinstance(system, EncoderSystem):
            continue
        second = detail_match(system, films, LocalEngine(options.workers), options.decode, progress)
        if second is not None:
            look, joint = second
            out[system.name] = detail_figures(
                embedded.plain[system.name], labels.subjects, look, joint, draws, options.seed
            )
    return out


def _reduced(embedded: Embedded) -> list[Protocol]:
    """The protocol of films reduced to 128 px, where there are films."""
    return [Protocol(REDUCED, None, "all pairs, every film reduced to 128 px")] if embedded.reduced else []


def _episodes(labels: Labels, by_width: bool, seed: int, missing: list[str]) -> Iterator[Episodes]:
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


def _asked(drawn: Sequence[Episodes], vectors: Vectors, labels: Labels, draws: Draws) -> Iterator[Figure]:
    for episodes in drawn:
        yield from episode_figures(score_episodes(vectors, episodes), episodes, labels.subjects, draws)


def _silhouette(vectors: Vectors, labels: Labels, draws: Draws, seed: int) -> list[Figure]:
    values, owner = silhouette(vectors, labels.subjects, seed)
    if not len(values):
        return []
    n = int(labels.subjects.max()) + 1
    images = per_subject(owner, np.ones(len(owner)), n)
    sums = per_subject(owner, values, n)
    equal = resampled_ratio(sums / np.maximum(images, 1), (images > 0).astype(np.float64), draws)
    return [
        Figure("silhouette", "subjects", equal),
        Figure("silhouette", "pairs", resampled_ratio(sums, images, draws)),
    ]


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


def _counts(
    films: Sequence[Film], left: Left, labels: Labels, embedded: Embedded, trained_on: int
) -> dict[str, Any]:
    per = np.bincount(labels.subjects)
    return {
        "images": len(films),
        "subjects": len(per),
        "subjects_with_two_or_more": int((per > 1).sum()),
        "subjects_with_six_or_more": int((per > 5).sum()),
        "of_split_train": trained_on,
        "identical_pictures": len(films) - len({look.pixel_hash for look in embedded.looks}),
        "unread": [{"path": path, "error": error} for path, error in left.unread],
        "of_unknown_subject": left.unknown,
        "of_other_views": left.other_views,
        "of_other_shape": left.other_shape,
        "ignored": left.ignored,
    }
