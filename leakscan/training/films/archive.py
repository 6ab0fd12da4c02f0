"""Decodes the films of a run once, into one memory-mapped array that later runs find again.

Memory stays bounded however many films there are: pictures go to the file as workers finish them. A run that
was killed on the way goes on where it was (:mod:`leakscan.training.films.half_packed`).
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from blake3 import blake3
from filelock import FileLock

from leakscan import tables
from leakscan.errors import OutputError, SourceError, StoreError
from leakscan.training.films.form import Form
from leakscan.training.films.half_packed import HalfPacked
from leakscan.training.films.manifests import ListedFilm, films_of
from leakscan.training.films.pack import Pack, read_films
from leakscan.types import Progress

_FORMAT = 2
_HEADER = 128  # bytes of the .npy header, whatever the count: NumPy pads to a multiple of 64

PACKED = tables.table_schema(
    "packed_films",
    [
        ("subject", pa.int32()),
        ("width", pa.int32()),
        ("group", pa.string()),
        ("contrast", pa.string()),
        ("path", pa.string()),
        ("error", pa.string()),
    ],
)
"""One row per image of the split: packed if ``error`` is null. Subjects are numbers, not names."""


def _manifests_key(manifests: Sequence[Path], split: str, form: Form) -> str:
    """Changes when a manifest, its folder, the split or the form does."""
    digest = blake3(f"{_FORMAT}|{form.version}|{split}".encode())
    for manifest in manifests:
        digest.update(str(manifest.resolve()).encode() + b"|")
        digest.update(blake3(manifest.read_bytes()).digest())
    return digest.hexdigest()[:16]


def packed_films(
    manifests: Sequence[Path],
    split: str,
    form: Form,
    cache: Path,
    progress: Progress,
    workers: int | None = None,
) -> Pack:
    """The films of a split of all manifests, decoded now or found in the cache.

    Images without a subject are left out: whether they show someone else is unknown.

    Args:
        manifests: Tables that :func:`~leakscan.training.films.manifests.check_manifests` let pass.
        split: The split to take.
        form: The form of the packed films.
        cache: The folder for ``SPLIT-SIZE-KEY.npy`` and ``.parquet``.
        progress: Receives the number of films decoded.
        workers: Decoding processes; one per core if not given.

    Raises:
        SourceError: A manifest cannot be read, or none of the films can.
        OutputError: The cache cannot be written.

    Example::

        manifests, cache = [Path("films.csv")], Path("run/packed")
        pack = packed_films(manifests, "train", Form((160, 160)), cache, Silent())
        print(pack.films.shape, len(pack.unread))
    """
    stem = cache / f"{split}-{form.shape[-1]}-{_manifests_key(manifests, split, form)}"
    pictures, table = stem.with_suffix(".npy"), stem.with_suffix(".parquet")
    if not (pictures.is_file() and table.is_file()):
        films = [f for m in manifests for f in films_of(m, split, progress)]
        # What cannot be read declares nothing, and is counted.
        known = [f for f in films if f.subject or f.ref.status != "ok"]
        with _alone(pictures):
            if not (pictures.is_file() and table.is_file()):
                _decode(known, form, pictures, table, progress, workers)
    return _open(pictures, table, form, split)


def _decode(
    films: list[ListedFilm], form: Form, pictures: Path, table: Path, progress: Progress, workers: int | None
) -> None:
    codes = {s: i for i, s in enumerate(dict.fromkeys(f.subject for f in films))}
    half = HalfPacked(pictures.with_name(pictures.name + ".part"), _HEADER, math.prod(form.shape))
    progress.start("decode", len(films))
    try:
        rows = half.begin([film.ref.path for film in films])
        progress.advance(len(rows))
        rest = films[len(rows) :]
        for film, canonical in zip(rest, read_films(rest, form, workers), strict=True):
            row = {
                "subject": codes[film.subject],
                "width": canonical.width,
                "group": film.group,
                "contrast": film.contrast,
                "path": film.ref.path,
                "error": canonical.error or None,
            }
            half.add(row, canonical.picture)
            progress.advance()
        half.end(_header(half.pictures, form))
        tables.write(tables.from_rows(half.rows, PACKED), table)
        half.part.replace(pictures)
        half.forget()
    except OSError as e:
        half.forget()
        raise OutputError(
            f"Cannot write {pictures}: {e.strerror or e}.",
            f"Packing takes {len(films) * math.prod(form.shape) / 2**30:.1f} GiB; "
            "name another folder for the cache.",
        ) from e
    progress.finish()


@contextlib.contextmanager
def _alone(pictures: Path) -> Iterator[None]:
    """Waits until no other run packs the same films; what it packed is then found."""
    try:
        pictures.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{pictures}.lock")
        lock.acquire()
    except OSError as e:
        raise OutputError(
            f"Cannot write {pictures}: {e.strerror or e}.", "Name another folder for the cache."
        ) from e
    try:
        yield
    finally:
        lock.release()


def _header(count: int, form: Form) -> bytes:
    buffer = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (count, *form.shape)}
    np.lib.format.write_array_header_1_0(buffer, shape)
    header = buffer.getvalue()
    assert len(header) == _HEADER
    return header


def _open(pictures: Path, table: Path, form: Form, split: str) -> Pack:
    columns = tables.read(table, PACKED)
    rows = columns.to_pylist()
    unread = tuple((r["path"], r["error"]) for r in rows if r["error"] is not None)
    packed = [r for r in rows if r["error"] is None]
    if not packed:
        first = f" First: {unread[0][0]}: {unread[0][1]}" if unread else ""
        raise SourceError(f"None of the {len(rows)} films of the split {split!r} can be read.{first}")
    try:
        films: npt.NDArray[np.uint8] = np.load(pictures, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as e:
        raise StoreError(f"{pictures} is damaged: {e}.", "Delete it; it will be made again.") from e
    if films.shape != (len(packed), *form.shape):
        raise StoreError(f"{pictures} and {table} do not belong together.", "Delete both.")
    return Pack(
        films=films,
        subjects=np.array([f"{r['subject']:08d}" for r in packed]),
        widths=np.array([r["width"] for r in packed], np.int64),
        groups=np.array([r["group"] or "" for r in packed]),
        unread=unread,
        contrasts=np.array([r["contrast"] or "" for r in packed]),
    )


def counts_of(listing_images: dict[str, int], train: Pack, validation: Pack) -> dict[str, object]:
    """What was packed, in numbers, for ``config.json`` and the summary.

    Example:
        >>> def pack(*subjects):
        ...     films = np.zeros((len(subjects), 2, 2), np.uint8)
        ...     return Pack(films=films, subjects=np.array(subjects), widths=np.full(len(subjects), 2000))
        >>> told = counts_of({"train": 3, "val": 1}, pack("Ann", "Ann", "Bea"), pack("Cem"))
        >>> told["train_films"], told["train_subjects"], told["unreadable"]
        (3, 2, 0)
    """
    return {
        "listed": listing_images,
        "train_films": len(train.films),
        "train_subjects": len(np.unique(train.subjects)),
        "val_films": len(validation.films),
        "val_subjects": len(np.unique(validation.subjects)),
        "unreadable": len(train.unread) + len(validation.unread),
        "first_unreadable": [list(u) for u in (*train.unread, *validation.unread)[:10]],
    }


def data_key(manifests: Sequence[Path], form: Form) -> str:
    """Names the films of a run: of both splits it reads.

    Example:
        >>> Path("films.csv").touch()
        >>> small, large = (data_key([Path("films.csv")], Form((side, side))) for side in (160, 240))
        >>> len(small), small == large
        (16, False)
    """
    keys = [_manifests_key(manifests, split, form) for split in ("train", "val")]
    return blake3(json.dumps(keys).encode()).hexdigest()[:16]
