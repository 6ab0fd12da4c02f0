"""What is declared of images, beside their pixels: paths, subjects, studies, dates, splits.

A row of a store has two parts. One comes from the pixels and the encoder alone and is kept wherever the image
goes; this is the other. It is made anew in every run, so that a changed manifest, another rule for subjects
or another name of a folder costs no reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa

from leakscan import tables
from leakscan.sources.identity import IdentityKey, drop_placeholders, dropped_words, normalised
from leakscan.types import ImageRef, Tags

Dates = Literal["no", "shifted", "clear"]

_UIDS = ("study_uid", "series_uid", "sop_uid")
_NO_TAGS = Tags()


class Declared:
    """Writes what references declare into rows.

    Args:
        key: What identifiers are hashed with, and dates shifted.
        dates: What is kept of acquisition dates.

    Example:
        >>> from pathlib import Path
        >>> ref = ImageRef(image_id="1", path="a.png", format="png", files=(), tags=Tags(subject="P7"))
        >>> row = Declared(IdentityKey(Path("identity.key"))).row(ref)
        >>> row["path"], len(row["subject"]), row["split"]
        ('a.png', 32, None)
    """

    def __init__(self, key: IdentityKey, dates: Dates = "no") -> None:
        known: dict[str, str | None] = {"": None}

        def hashed(text: str) -> str | None:
            if text not in known:
                known[text] = key.hash(text)
            return known[text]

        self._columns: Mapping[str, Callable[[ImageRef], Any]] = {
            "image_id": lambda ref: ref.image_id,
            "path": lambda ref: ref.path,
            "format": lambda ref: ref.format,
            "frame": lambda ref: ref.frame,
            "subject": lambda ref: hashed(ref.tags.subject),
            "study_uid_hash": lambda ref: hashed(ref.tags.study_uid),
            "series_uid_hash": lambda ref: hashed(ref.tags.series_uid),
            "sop_uid_hash": lambda ref: hashed(ref.tags.sop_uid),
            "acquired": lambda ref: dated(ref, key, dates),
            "split": lambda ref: ref.tags.split or None,
            "signature": lambda ref: ref.signature,
        }

    def row(self, ref: ImageRef) -> dict[str, Any]:
        """The declared part of one row."""
        return {name: of(ref) for name, of in self._columns.items()}

    def columns(self, refs: Sequence[ImageRef]) -> dict[str, pa.Array]:
        """The declared part of many rows, by column."""
        return {
            name: pa.array([of(ref) for ref in refs], tables.STORE.field(name).type)
            for name, of in self._columns.items()
        }


def dated(ref: ImageRef, key: IdentityKey, dates: Dates) -> str | None:
    """The acquisition date of an image as a row may hold it.

    Args:
        ref: The image.
        key: What dates are shifted with.
        dates: What the user chose.

    Example:
        >>> from pathlib import Path
        >>> key, tags = IdentityKey(Path("identity.key")), Tags(acquired="2019-03-14")
        >>> ref = ImageRef(image_id="1", path="a.dcm", format="dicom", files=(), tags=tags)
        >>> dated(ref, key, "no"), dated(ref, key, "clear")
        (None, '2019-03-14')
    """
    if dates == "no" or not ref.tags.acquired:
        return None
    if dates == "clear":
        return ref.tags.acquired
    return key.shifted(ref.tags.acquired, ref.tags.subject or ref.tags.study_uid) or None


def with_clean_subjects(refs: Sequence[ImageRef], name: str, notices: list[str]) -> list[ImageRef]:
    """Empties identifiers that identify nobody, and says so; the frames of one file count once.

    Args:
        refs: All images of a source.
        name: The name of the dataset.
        notices: Gets a sentence where something was emptied.

    Example:
        >>> ref = ImageRef(image_id="1", path="a", format="png", files=("/a",), tags=Tags(subject="ANON"))
        >>> notices = []
        >>> with_clean_subjects([ref], "ward", notices)[0].tags.subject, len(notices)
        ('', 1)
    """
    first = {ref.files or (ref.path,): ref.tags.subject for ref in refs if ref.status == "ok"}
    declared = list(first.values())
    left = drop_placeholders(declared)
    if words := dropped_words(declared, left, name):
        notices.append(words)
    kept = dict(zip(first, left, strict=True))
    shared = _shared_uids(refs)
    return [
        replace(
            ref,
            tags=replace(
                ref.tags,
                subject=kept.get(ref.files or (ref.path,), ""),
                **{field: "" for field in _UIDS if getattr(ref.tags, field) in shared},
            ),
        )
        if ref.tags != _NO_TAGS
        else ref
        for ref in refs
    ]


def _shared_uids(refs: Sequence[ImageRef]) -> set[str]:
    """UIDs that stand on most of a source, or on images of several declared subjects: they are made up."""
    pairs = [(getattr(ref.tags, f), ref) for ref in refs if ref.status == "ok" for f in _UIDS]
    counts = Counter(uid for uid, _ in pairs if uid)
    of: dict[str, set[str]] = {}
    for uid, ref in pairs:
        if uid and ref.tags.subject:
            of.setdefault(uid, set()).add(normalised(ref.tags.subject))
    images = sum(ref.status == "ok" for ref in refs)
    most = {uid for uid, n in counts.items() if n > 10 and 2 * n > images}
    return most | {uid for uid, subjects in of.items() if len(subjects) > 1}
