"""The job that makes a fingerprint store: one source into one store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from leakscan.errors import UsageError
from leakscan.fingerprint.pipeline import STORES, fingerprint_source
from leakscan.fingerprint.row_maker import Keeps
from leakscan.fingerprint.shards import Shard
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.report.exit_code import EXIT_CANNOT_VOUCH, EXIT_OK
from leakscan.report.run_tables import row_errors
from leakscan.review.people import to_csv
from leakscan.run.context import RunContext
from leakscan.run.opened import open_all
from leakscan.run.places import cache_name, dataset_names
from leakscan.run.project_keys import keyed_info, keyed_rows, nameless_place
from leakscan.run.reported import idle_patterns
from leakscan.run.store_behind import making
from leakscan.settings import UNMASKED, Settings
from leakscan.sources.nameless import NamelessSource
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress
from leakscan.writable import written_whole

Keepsake = Literal["previews", "details"]


def build_store(
    source: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    keep: Collection[Keepsake] = (),
    shard: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Brings a store up to date with its source.

    Where paths are hidden, the store holds keyed names in place of paths, and no dates, splits or notes.
    What they stand for is written beside the store, to ``STORE.names.csv``, which is not to be given away.

    Args:
        source: A folder or manifest.
        store: The folder of the store, or its URL on object storage; it is made where there is none.
        settings: The choices about reading and fingerprinting.
        keep: What to keep of every film beside its fingerprint: ``previews``, a small picture; ``details``,
            by which two stores are compared as sharply as the films themselves. Both tell more of a film
            than its fingerprint does.
        shard: The part of the source to fingerprint, such as ``3/64``; by default all of it.
        progress: Receives how far the work is.

    Returns:
        Counts: ``images``, ``fingerprints``, ``images_read``, ``unreadable`` (and the first of these);
        ``warnings``, in sentences; ``names``, the file that tells what names stand for, or ``None``; and the
        exit code (3 where nothing could be read).

    Raises:
        LeakscanError: One of the kinds in :mod:`leakscan.errors`.

    Example::

        told = build_store("hospital_a", "hospital_a.fps")
        print(told["fingerprints"], "of", told["images"], "images have a fingerprint")
        leakscan.compare("hospital_a.fps", "hospital_b")  # needs the images of hospital_b alone
    """
    settings = Settings.given(settings, {})
    part = None if shard is None else Shard.parse(shard)
    spec = SourceSpec.parse(source)
    with making(store, settings.limits.cache) as folder:
        told = _built(spec, folder, settings, keep, part, progress)
    return {"store": str(store), **told}


def _built(
    spec: SourceSpec,
    store: Path,
    settings: Settings,
    keep: Collection[Keepsake],
    part: Shard | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Makes the store, or brings it up to date, in a folder of this machine."""
    name = dataset_names([spec])[0]
    (opened,) = open_all([spec], [name], settings)
    if isinstance(opened.images, Store):
        raise UsageError(
            "{path} is a fingerprint store already.", "Name a folder or manifest.", path=spec.raw
        )
    previews, details = "previews" in keep, "details" in keep
    context = RunContext.open(settings, progress, decides=details)
    if previews and context.project_key is not None:
        raise UsageError(
            "Previews show the images themselves, which no project key hides.",
            "Leave out the previews, or the project key.",
            code="keyed_previews",
        )
    if details and context.project_key is not None:
        raise UsageError(
            "Details cannot be kept under a project key: they tell people apart without it.",
            "Leave out the details, or the project key.",
            code="keyed_details",
        )
    keeps = Keeps(previews, _digests(context) if details else {})
    nameless = NamelessSource(opened.images, context.key) if settings.privacy.hide_paths else None
    info = StoreInfo(
        name if nameless is None else nameless.alias,
        context.key.key_id,
        str(part or ""),
        nameless is not None,
    )
    images, secret = nameless or opened.images, context.project_key
    if secret is None:
        kept = Store.create(store, info)
        rows = fingerprint_source(images, kept, context, keeps, part).rows
        paths = {} if nameless is None else nameless.paths
    else:
        kept = Store.create(store, keyed_info(info, secret))
        # The rows themselves stay in the cache, so that nothing is read twice; what is given away is keyed.
        place = context.settings.limits.cache / STORES / cache_name(spec, context.key.key_id)
        place = place if nameless is None else nameless_place(place)
        behind = Store.create(place, replace(info, shard=""), keep=spec.holds)
        rows = keyed_rows(fingerprint_source(images, behind, context, shard=part).rows, info.nameless, secret)
        kept.update(rows, kept.load(rows["prepared_with"][0].as_py() if len(rows) else None))
        paths = {} if nameless is None else {secret.renamed(new): old for new, old in nameless.paths.items()}
    names = None if nameless is None else _write_names(store, rows, paths)
    context.progress.finish()
    warnings = [*context.notices, *idle_patterns(context)]
    if previews and not settings.privacy.mask:
        warnings.append(UNMASKED)
    status = Counter(rows["status"].to_pylist())
    errors = row_errors(rows, settings.privacy.hide_paths)
    columns = rows["path"].to_pylist(), rows["status"].to_pylist(), errors
    unread = ((path, error) for path, state, error in zip(*columns, strict=True) if state == "unreadable")
    return {
        "images": status["ok"] + status["blank"],
        "fingerprints": sum(e is not None for e in rows["encoder"].to_pylist()),
        "images_read": context.timings.images_read,
        "unreadable": status["unreadable"],
        "first_unreadable": next(
            (error if settings.privacy.hide_paths else f"{path}: {error}" for path, error in unread), None
        ),
        "warnings": warnings,
        "names": None if names is None else str(names),
        "exit_code": EXIT_OK if status["ok"] or part is not None else EXIT_CANNOT_VOUCH,
    }


def _digests(context: RunContext) -> dict[str, str]:
    """The networks that can describe films in workers, by the encoder that they belong to.

    Raises:
        UsageError: There are none.
    """
    matchers = context.models.matchers
    found = {name: m.digest for name, m in matchers.items() if m.for_workers is not None}
    if not found:
        raise UsageError(
            "Details of films can be kept only where their networks run in ONNX Runtime, on a processor; "
            + ("here they run on a GPU." if matchers else "no encoder here has such networks."),
            "Leave out the details" + (", or hide the GPU (CUDA_VISIBLE_DEVICES=)." if matchers else "."),
            code="no_details",
        )
    return found


def _write_names(store: Path, rows: pa.Table, paths: Mapping[str, str]) -> Path:
    """Writes which path each name of a store stands for, readable by its owner only."""
    target = store.with_name(f"{store.name}.names.csv")
    shown = list(dict.fromkeys(rows["path"].to_pylist()))
    with written_whole(target) as part:
        part.touch(mode=0o600)
        # As in the tables: a name that is no Unicode is shown by its bytes.
        own = [os.fsencode(paths[name]).decode("utf-8", "backslashreplace") for name in shown]
        part.write_text(to_csv(pa.table({"name": shown, "path": own})), encoding="utf-8")
    return target
