"""Which films to train on, and whether that can be done fairly, before anything long starts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leakscan.errors import SourceError, UsageError
from leakscan.settings import DecodeOptions
from leakscan.sources.manifest import ManifestSource, column_values
from leakscan.sources.spec import SourceSpec
from leakscan.sources.split_names import TRAIN, VALIDATION, check_disjoint
from leakscan.sources.table_names import MANIFEST_SUFFIXES
from leakscan.types import ImageRef, Progress

_AGE_STEP = 10  # years of one age group


@dataclass(frozen=True)
class ListedFilm:
    """One image of a manifest and what is declared of it.

    Attributes:
        ref: Where it lies, or why it is left out.
        subject: The declared subject; empty if unknown.
        width: The declared source width in pixels; 0 if unknown.
        group: Sex, view and age group in one word; empty if nothing is declared.
        contrast: The declared contrast of a volume (``T1``, ``FLAIR``...); empty if unknown.
    """

    ref: ImageRef
    subject: str
    width: int
    group: str
    contrast: str = ""


@dataclass(frozen=True)
class Listing:
    """What the tables of a training run list, before a file is opened.

    Attributes:
        images: The number of rows by split.
        subjects: The number of declared subjects by split.
        unknown: The number of rows of ``train`` or ``val`` that name no subject and are left out.
    """

    images: dict[str, int]
    subjects: dict[str, int]
    unknown: int


def check_manifests(manifests: Sequence[Path]) -> Listing:
    r"""Refuses manifests that nothing can be learned from, or not fairly.

    Equal identifiers in two manifests mean one subject.

    Args:
        manifests: CSV or Parquet tables with ``path, subject_id, split``.

    Raises:
        SourceError: A table cannot be read, lacks a column, or has no row to train on or to choose
            by; no subject has two images; or a subject of ``train`` is in another split as well.
        UsageError: An argument is no table, or is named twice.

    Example:
        >>> rows = ["a,Ann,train", "b,Ann,train", "c,Bea,val", "d,Bea,val", "e,Cem,val"]
        >>> _ = Path("films.csv").write_text("\n".join(["path,subject_id,split", *rows]))
        >>> check_manifests([Path("films.csv")]).subjects
        {'train': 1, 'val': 2}
    """
    splits: dict[str, Counter[str]] = {}
    unknown: Counter[str] = Counter()
    seen: set[Path] = set()
    for manifest in manifests:
        if manifest.suffix.lower() not in MANIFEST_SUFFIXES:
            raise UsageError(
                f"{manifest} is no manifest: its name ends neither in .csv nor in .parquet.",
                "List the films with the columns path, subject_id and split; see docs/training.md.",
            )
        if manifest.resolve() in seen:
            raise UsageError(f"{manifest} is named twice.")
        seen.add(manifest.resolve())
        column_values(manifest, "path")
        for subject, split in zip(
            column_values(manifest, "subject_id"), column_values(manifest, "split"), strict=True
        ):
            splits.setdefault(split, Counter())
            if subject:
                splits[split][subject] += 1
            else:
                unknown[split] += 1
    names = " and ".join(map(str, manifests))
    for split, use in ((TRAIN, "to train on"), (VALIDATION, "to choose the best weights by")):
        if not splits.get(split):
            found = ", ".join(sorted(s or "(empty)" for s in splits)) or "nothing"
            raise SourceError(
                f"No row of {names} with a subject has the split {split!r}: there is nothing {use}.",
                f"The column split has {found}. It needs train and val, by subject; see docs/training.md.",
            )
        if max(splits[split].values()) < 2:
            raise SourceError(
                f"No subject of the split {split!r} in {names} has two images: there is nothing {use}.",
                "A fingerprint is learned from different images of one subject; check subject_id.",
            )
    if len(splits[VALIDATION]) < 2:
        raise SourceError(f"The split 'val' of {names} has one subject: nobody to tell it from.")
    check_disjoint(splits, sorted(splits), names)
    return Listing(
        {s: sum(c.values()) for s, c in splits.items()},
        {s: len(c) for s, c in splits.items()},
        unknown[TRAIN] + unknown[VALIDATION],
    )


def check_contrasts(manifests: Sequence[Path]) -> None:
    r"""Refuses manifests that show nobody of ``train`` in two contrasts, where partners must differ in it.

    Raises:
        SourceError: No subject of ``train`` has two.

    Example:
        >>> rows = ["a.nii,Ann,train,T1", "b.nii,Ann,train,FLAIR"]
        >>> _ = Path("heads.csv").write_text("\n".join(["path,subject_id,split,contrast", *rows]))
        >>> check_contrasts([Path("heads.csv")])  # FLAIR can be the partner of T1
    """
    contrasts: dict[str, set[str]] = {}
    for manifest in manifests:
        columns = (column_values(manifest, name) for name in ("subject_id", "split", "contrast"))
        for subject, split, contrast in zip(*columns, strict=True):
            if subject and split == TRAIN:
                contrasts.setdefault(subject, set()).add(contrast)
    if max(map(len, contrasts.values()), default=0) < 2:
        raise SourceError(
            f"No subject of the split 'train' in {' and '.join(map(str, manifests))} has two contrasts.",
            "Partners must differ in the column contrast here; apart=0.7 takes equal ones as well.",
        )


def films_of(manifest: Path, split: str, progress: Progress) -> list[ListedFilm]:
    r"""The images of one split of one manifest, in the order of its rows; none if it has none.

    Args:
        manifest: The table.
        split: The split to take.
        progress: Receives the number of rows read.

    Raises:
        SourceError: The manifest cannot be read.

    Example:
        >>> from PIL import Image
        >>> from leakscan.types import Silent
        >>> Image.new("L", (64, 64)).save("a.png")
        >>> rows = ["path,subject_id,split,sex,view,age_years", "a.png,Ann,train,F,PA,64"]
        >>> _ = Path("films.csv").write_text("\n".join(rows))
        >>> [(film.subject, film.group) for film in films_of(Path("films.csv"), "train", Silent())]
        [('Ann', 'F PA 60')]
    """
    if split not in column_values(manifest, "split"):
        return []
    spec = SourceSpec.parse(manifest).with_filter("split", split)
    source = ManifestSource(spec, manifest.stem, DecodeOptions(frames="first"))
    declared = _declared(manifest)
    root = Path(os.path.abspath(manifest)).parent  # noqa: PTH100 - as ManifestSource does
    films = []
    for ref in source.scan(progress):
        file = ref.files[0] if ref.files else os.path.normpath(root / ref.path)
        width, group, contrast = declared.get(file, (0, "", ""))
        films.append(ListedFilm(ref, ref.tags.subject, width, group, contrast))
    return films


def _declared(manifest: Path) -> dict[str, tuple[int, str, str]]:
    """Source width, group and contrast of every file that a manifest lists, where it has those columns."""
    root = Path(os.path.abspath(manifest)).parent  # noqa: PTH100
    paths = [os.path.normpath(root / p) for p in column_values(manifest, "path")]
    widths = _optional(manifest, "source_width_px", len(paths))
    columns = [_optional(manifest, c, len(paths)) for c in ("sex", "view")]
    ages = [_age_group(a) for a in _optional(manifest, "age_years", len(paths))]
    contrasts = _optional(manifest, "contrast", len(paths))
    out: dict[str, tuple[int, str, str]] = {}
    for i, path in enumerate(paths):
        words = [*(c[i] for c in columns), ages[i]]
        width = widths[i]
        group = " ".join(words) if any(words) else ""
        out.setdefault(path, (int(width) if width.isdigit() else 0, group, contrasts[i]))
    return out


def _optional(manifest: Path, column: str, rows: int) -> list[str]:
    try:
        return column_values(manifest, column)
    except SourceError:
        return [""] * rows


def _age_group(age: str) -> str:
    try:
        return str(int(float(age)) // _AGE_STEP * _AGE_STEP)
    except ValueError:
        return ""
