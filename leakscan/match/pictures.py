"""The distinct pictures of a dataset: images with equal pixels are one, blanks and unread files are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.tables import ORIENTATIONS

_AT_ONCE = 1 << 16  # rows whose fingerprints are taken together

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Side:
    """The distinct pictures of one dataset, numbered in the order of their first images.

    Attributes:
        image_rows: ``(images,)`` rows in the dataset's table of all images, picture by picture.
        starts: ``(n + 1,)`` where the images of each picture begin in ``image_rows``.
        subjects: The declared subject of each picture, that of the first image that has one; else ``None``.
        pixel_hash: ``(n,)`` strings, the hash of the pixels.
        phash: ``(n, 8)`` uint64 perceptual hashes in all orientations.
        ndim: ``(n,)`` 2 for pictures, 3 for volumes.
        encoder: ``(n,)`` name@digest, empty where no fingerprint was made.
        stored: ``(m, d)`` float16 fingerprints as stores hold them, by encoder, of its pictures, in order.
    """

    image_rows: Ints
    starts: Ints
    subjects: tuple[str | None, ...]
    pixel_hash: pa.Array
    phash: npt.NDArray[np.uint64]
    ndim: Ints
    encoder: npt.NDArray[np.object_]
    stored: Mapping[str, npt.NDArray[np.float16]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Ints:
        """``(n,)`` the row of the first image of each picture."""
        return self.image_rows[self.starts[:-1]]

    @property
    def counts(self) -> Ints:
        """``(n,)`` how many images each picture has."""
        return np.diff(self.starts)

    def pictures(self, encoder: str) -> Ints:
        """Which pictures have a fingerprint of this encoder, in order."""
        return np.flatnonzero(self.encoder == encoder)

    @property
    def fingerprints(self) -> dict[str, npt.NDArray[np.float32]]:
        """``(m, d)`` float32 fingerprints by encoder: a copy, twice as large as what is ``stored``."""
        return {name: prints.astype(np.float32) for name, prints in self.stored.items()}

    def prints(self, encoder: str, pictures: Ints) -> npt.NDArray[np.float32]:
        """Fingerprints ``(k, d)`` of ``k`` pictures, all of which have one of this encoder."""
        return self.stored[encoder][np.searchsorted(self.pictures(encoder), pictures)].astype(np.float32)


def distinct_pictures(rows: pa.Table) -> Side:
    """Collapses images with equal pixels and leaves out what is not ``ok``.

    Args:
        rows: A table of schema ``tables.STORE``.

    Example:
        >>> from leakscan import tables
        >>> same = {"image_id": "a", "status": "ok", "pixel_hash": "p", "kind": "other_2d", "phash": [0] * 8}
        >>> len(distinct_pictures(tables.from_rows([same, {**same, "image_id": "b"}], tables.STORE)))
        1
    """
    status = rows["status"].combine_chunks()
    usable = np.flatnonzero(pc.equal(status, "ok").fill_null(False).to_numpy(zero_copy_only=False))
    encoded = _taken(rows["pixel_hash"], usable).fill_null("").dictionary_encode()
    picture = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(picture, kind="stable")
    n = len(encoded.dictionary)
    image_rows = usable[order].astype(np.int64)
    starts = np.searchsorted(picture[order], np.arange(n + 1)).astype(np.int64)
    first = image_rows[starts[:-1]]
    encoder = _words(_taken(rows["encoder"], first))
    prints = {
        name: _prints(rows["fingerprint"], first[encoder == name])
        for name in np.unique(encoder[encoder != ""]).tolist()
    }
    phash = _taken(rows["phash"], first).flatten().to_numpy(zero_copy_only=False)
    volume = np.isin(_words(_taken(rows["kind"], first)), ("brain_mri", "other_3d"))
    return Side(
        image_rows=image_rows,
        starts=starts,
        subjects=_declared(rows, image_rows, starts),
        pixel_hash=encoded.dictionary,
        phash=phash.reshape(n, ORIENTATIONS).astype(np.uint64, copy=False),
        ndim=np.where(volume, 3, 2).astype(np.int64),
        encoder=encoder,
        stored=prints,
    )


def _words(column: pa.Array) -> npt.NDArray[np.object_]:
    """A column of few different words, each in memory once; empty where there is none."""
    encoded = column.fill_null("").dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), ""], np.object_)
    return np.asarray(words[encoded.indices.to_numpy(zero_copy_only=False)], np.object_)


def _prints(column: pa.ChunkedArray, rows: Ints) -> npt.NDArray[np.float16]:
    """Fingerprints of some rows: all of them are the largest thing in a run.

    Those of all rows that have one, in order, are read where they lie. Others are copied, a bounded number at
    a time.
    """
    if column.num_chunks == 1 and np.array_equal(rows, np.flatnonzero(column.is_valid())):
        whole: npt.NDArray[np.float16] = column.chunk(0).flatten().to_numpy(zero_copy_only=False)
        return whole.reshape(len(rows), -1)
    out: npt.NDArray[np.float16] | None = None
    for start in range(0, len(rows), _AT_ONCE):
        part = _taken(column, rows[start : start + _AT_ONCE])
        flat = part.flatten().to_numpy(zero_copy_only=False).reshape(len(part), -1)
        if out is None:
            out = np.empty((len(rows), flat.shape[1]), np.float16)
        out[start : start + len(part)] = flat
    assert out is not None, "an encoder is named by a row"
    return out


def _taken(column: pa.ChunkedArray, rows: Ints) -> pa.Array:
    """Some rows of a column in one piece."""
    return column.take(pa.array(rows, pa.int64())).combine_chunks()


def _declared(rows: pa.Table, image_rows: Ints, starts: Ints) -> tuple[str | None, ...]:
    """The first subject that the images of each picture declare."""
    names = _taken(rows["subject"], image_rows).to_pylist()
    found: list[str | None] = [None] * (len(starts) - 1)
    picture = np.repeat(np.arange(len(found)), np.diff(starts))
    for number, name in zip(reversed(picture.tolist()), reversed(names), strict=True):
        found[number] = name or found[number]
    return tuple(found)
