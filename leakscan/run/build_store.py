"""The job that makes a fingerprint store: one source into one store."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from leakscan.errors import UsageError
from leakscan.fingerprint.pipeline import fingerprint_source
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.report.run_tables import row_errors
from leakscan.report.summary import EXIT_CANNOT_VOUCH, EXIT_OK
from leakscan.run.compare import open_all
from leakscan.run.context import RunContext
from leakscan.run.places import dataset_names
from leakscan.settings import Settings
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress


def build_store(
    source: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    previews: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Brings a store up to date with its source.

    Args:
        source: A folder or manifest.
        store: The folder of the store; it is made where there is none.
        settings: The choices about reading and fingerprinting.
        previews: Whether to keep a small picture of every film.
        progress: Receives how far the work is.

    Returns:
        Counts: ``images``, ``fingerprints``, ``images_read``, ``unreadable`` (and the first of these), and
        the exit code (3 where nothing could be read).

    Raises:
        LeakscanError: One of the kinds in :mod:`leakscan.errors`.

    Example::

        told = build_store("hospital_a", "hospital_a.fps")
        print(told["fingerprints"], "of", told["images"], "images have a fingerprint")
        leakscan.compare("hospital_a.fps", "hospital_b")  # needs the images of hospital_b alone
    """
    settings = settings or Settings()
    spec = SourceSpec.parse(source)
    name = dataset_names([spec])[0]
    (opened,) = open_all([spec], [name], settings)
    if isinstance(opened.images, Store):
        raise UsageError("{path} is a fingerprint store already.", "Name a folder or manifest.", path=source)
    context = RunContext.open(settings, progress, decides=False)
    kept = Store.create(Path(store), StoreInfo(name, context.key.key_id))
    dataset = fingerprint_source(opened.images, kept, context, previews)
    context.progress.finish()
    status = Counter(dataset.rows["status"].to_pylist())
    columns = dataset.rows["path"].to_pylist(), dataset.rows["status"].to_pylist(), row_errors(dataset.rows)
    unread = ((path, error) for path, state, error in zip(*columns, strict=True) if state == "unreadable")
    return {
        "store": str(store),
        "images": status["ok"] + status["blank"],
        "fingerprints": sum(e is not None for e in dataset.rows["encoder"].to_pylist()),
        "images_read": context.timings.images_read,
        "unreadable": status["unreadable"],
        "first_unreadable": next(
            (error if settings.privacy.hide_paths else f"{path}: {error}" for path, error in unread), None
        ),
        "exit_code": EXIT_OK if status["ok"] else EXIT_CANNOT_VOUCH,
    }
