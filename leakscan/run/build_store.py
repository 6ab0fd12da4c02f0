"""The job behind ``leakscan fingerprint``: one source into one store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from leakscan.engines.local import LocalEngine
from leakscan.fingerprint.pipeline import Timings
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.report.summary import EXIT_CANNOT_VOUCH, EXIT_OK
from leakscan.run.compare import RunOptions, fingerprint
from leakscan.run.models import load_encoders
from leakscan.run.places import dataset_names
from leakscan.sources.open import open_source
from leakscan.types import Progress


def build_store(
    source: str, store: Path, options: RunOptions, previews: bool, progress: Progress
) -> dict[str, Any]:
    """Brings a store up to date with its source.

    Args:
        source: a folder or manifest.
        store: folder of the store; made where there is none.
        options: how to read and fingerprint.
        previews: whether to keep a small picture of every film.
        progress: is told.

    Returns:
        Counts: ``images``, ``fingerprints``, ``images_read``, ``unreadable`` (and the first of these), and
        the exit code (3 where nothing could be read).

    Raises:
        LeakscanError: of the kinds in :mod:`leakscan.errors`.
    """
    name = dataset_names([source])[0]
    images = open_source(source, options.decode, options.exclude, options.subjects, name)
    encoders = load_encoders(options.encoder)
    kept = Store.create(store, StoreInfo(name, options.identity_key().key_id))
    timings, engine = Timings(), LocalEngine(options.workers)
    dataset = fingerprint(images, kept, encoders, options, engine, progress, timings, previews)
    progress.finish()
    status = Counter(dataset.rows["status"].to_pylist())
    columns = (dataset.rows[name].to_pylist() for name in ("path", "status", "error"))
    unread = ((path, error) for path, state, error in zip(*columns, strict=True) if state == "unreadable")
    return {
        "store": str(store),
        "images": status["ok"] + status["blank"],
        "fingerprints": sum(e is not None for e in dataset.rows["encoder"].to_pylist()),
        "images_read": timings.images_read,
        "unreadable": status["unreadable"],
        "first_unreadable": next((f"{path}: {error}" for path, error in unread), None),
        "exit_code": EXIT_OK if status["ok"] else EXIT_CANNOT_VOUCH,
    }
