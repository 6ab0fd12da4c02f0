"""Where a store is made: in its own folder, or in the cache, from where it is sent to object storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from leakscan.errors import StoreError
from leakscan.fingerprint.store import is_of_store
from leakscan.run.places import make_cache
from leakscan.sources.remote import check_sendable, fetch, is_url, names_behind, send
from leakscan.sources.spec import STORE_FILE
from leakscan.writable import check_writable

SENT = "sent"
"""The folder of the cache with the stores that are made here and lie elsewhere."""


@contextmanager
def making(store: str | os.PathLike[str], cache: Path) -> Iterator[Path]:
    """The folder in which a store is made.

    A store behind a URL is made in the cache, beginning with what lies there already, and is sent when it is
    whole: first the rows, then what names it, so that nobody meets half a store. A run that is stopped before
    goes on from the cache.

    Args:
        store: The folder of the store, or a URL such as ``s3://bucket/ward.fps``.
        cache: The cache folder.

    Raises:
        OutputError: It may not be written.
        SourceError: What lies there cannot be read.
        StoreError: Something else lies there.

    Example::

        with making("s3://bucket/ward.fps", Path(".leakscan")) as folder:
            Store.create(folder, info)
    """
    url = os.fspath(store)
    if not is_url(url):
        check_writable(Path(store))
        yield Path(store)
        return
    check_sendable(url)
    known = names_behind(url)
    if known and STORE_FILE not in known:
        raise StoreError(
            "{path} exists and is no fingerprint store.", "Choose another name for the store.", path=url
        )
    make_cache(cache)
    stem = url.rstrip("/").rpartition("/")[2].removesuffix(".fps")
    folder = cache / SENT / f"{stem}-{blake3(os.fsencode(url.rstrip('/'))).hexdigest()[:12]}.fps"
    if known:
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        fetch(url, lambda name: is_of_store(name) and not (folder / name).exists(), folder)
    yield folder
    here = sorted(path.relative_to(folder).as_posix() for path in (folder / "shards").glob("*.parquet"))
    fresh = [name for name in here if known.get(name) != (folder / name).stat().st_size]
    gone = [name for name in known if is_of_store(name) and name not in {STORE_FILE, *here}]
    send(folder, [*fresh, STORE_FILE], url, gone)
