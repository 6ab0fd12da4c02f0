"""Manifests of brain volumes to people and their splits."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from leakscan.errors import SourceError
from leakscan.synthetic.brains.people import Source, read_volume
from leakscan.synthetic.brains.tissue_labels import Atlas

_PART = 8  # one of this many people of train each for val and for calibration, where a set has none
_MUSE_ONLY = range(100, 165)  # cortex in MUSE, nothing in FreeSurfer's segmentations
_CLEARLY = 20  # labels of that range


def read_heads(manifests: Sequence[Path], same: Mapping[str, str] | None = None) -> dict[str, list[Source]]:
    r"""Sources of heads by split: ``train``, ``val``, ``calibration``, ``test``.

    Where the manifests know ``train`` and ``test`` alone, an eighth of the people of ``train`` whose
    T1 is there become ``val``, and another eighth ``calibration``, by a digest of the subject.

    Args:
        manifests: CSV tables with ``path``, ``subject_id``, ``contrast`` (``T1``, ``labels``; others are left
            alone) and ``split``; paths are relative to the manifest's folder.
        same: Subject -> the subject that may be the same person and whose name it gets.

    Raises:
        SourceError: A manifest lacks a column, or no head is found.

    Example:
        >>> rows = ["path,subject_id,contrast,split", "ann.nii,Ann,T1,train", "bea.nii,Bea,T1,val"]
        >>> _ = Path("heads.csv").write_text("\n".join(rows))
        >>> (bea,) = read_heads([Path("heads.csv")])["val"]
        >>> bea.subject, str(bea.t1), bea.labels
        ('Bea', 'bea.nii', None)
    """
    files: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    splits: dict[str, str] = {}
    owner: dict[str, str] = {}
    for manifest in manifests:
        with manifest.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if missing := {"path", "subject_id", "contrast", "split"} - set(row):
                    raise SourceError(f"{manifest} has no column {', '.join(sorted(missing))}.")
                subject = row["subject_id"]
                files[subject][row["contrast"]].append(manifest.parent / row["path"])
                splits[subject] = row["split"]
                owner[subject] = (same or {}).get(subject, subject)
    carved = not {"val", "calibration"} & set(splits.values())
    heads: dict[str, list[Source]] = defaultdict(list)
    for subject, found in files.items():
        split = splits[subject]
        if carved and split == "train" and found["T1"]:
            split = _part(owner[subject])
        t1 = found["T1"][0] if found["T1"] else None
        maps: list[Path | None] = [*found["labels"]]
        for labels in maps or ([None] if t1 else []):
            atlas: Atlas = _atlas_of(labels) if labels else "freesurfer"
            heads[split].append(Source(owner[subject], labels, atlas, t1))
    if not heads.get("train"):
        raise SourceError("The manifests name no T1 and no label map of the split train.")
    return dict(heads)


def held_people(heads: Mapping[str, Sequence[Source]]) -> list[Source]:
    """Those of ``val`` and ``calibration`` who have a T1: gate and calibration come from them.

    Example:
        >>> ann, bea = Source("Ann", t1=Path("ann.nii")), Source("Bea", t1=Path("bea.nii"))
        >>> [head.subject for head in held_people({"train": [ann], "val": [bea]})]
        ['Bea']
    """
    return [head for split in ("val", "calibration") for head in heads.get(split, ()) if head.t1]


def contrasts_of(manifest: Path) -> set[str]:
    r"""The contrasts of people's heads that a manifest names.

    Example:
        >>> _ = Path("heads.csv").write_text("path,contrast\na.nii,T1\nb.nii,FLAIR\nc.nii,labels")
        >>> sorted(contrasts_of(Path("heads.csv")))
        ['FLAIR', 'T1']
    """
    with manifest.open(newline="", encoding="utf-8") as stream:
        return {row["contrast"] for row in csv.DictReader(stream)} - {"labels"}


def _part(subject: str) -> str:
    number = int(hashlib.sha256(subject.encode()).hexdigest(), 16) % _PART
    return {0: "val", 1: "calibration"}.get(number, "train")


def _atlas_of(labels: Path) -> Atlas:
    """Tells MUSE's label maps from FreeSurfer's by their numbers."""
    found = np.unique(read_volume(labels)[0])
    return "muse" if np.isin(found, list(_MUSE_ONLY)).sum() >= _CLEARLY else "freesurfer"
