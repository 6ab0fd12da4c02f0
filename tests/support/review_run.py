"""A run folder made by hand, with images to look at: quicker than a comparison, with every kind of card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image

from leakscan import tables
from leakscan.fingerprint.hashing import pixel_hash
from leakscan.report.run_folder import RunFolder
from leakscan.synthetic.heads import draw_brain
from support.makers import unit_vectors


@dataclass
class MadeRun:
    """A run folder in the making.

    Attributes:
        root: The folder of the datasets and of the run.
        images: Rows of ``images.parquet``.
        pairs: Rows of ``pairs.parquet``.
        subjects: Rows of ``subjects.parquet``.
        facts: More keys of ``summary.json``.
    """

    root: Path
    images: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    subjects: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def image(self, dataset: str, name: str, pixels: npt.NDArray[Any], subject: str = "", **more: Any) -> str:
        """Saves a picture and gives it a row.

        Returns:
            Its image id.
        """
        path = self.root / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return self.row(dataset, name, pixels, subject, **more)

    def row(self, dataset: str, name: str, pixels: npt.NDArray[Any], subject: str = "", **more: Any) -> str:
        """A row without a file."""
        image_id = blake3(f"{dataset}/{name}".encode("utf-8", "replace")).hexdigest()
        self.images.append(
            row := {
                "image_id": image_id,
                "dataset": dataset,
                "path": name,
                "format": "png",
                "kind": "chest_radiograph",
                "pixel_hash": pixel_hash(pixels),
                "shape": list(pixels.shape),
                "subject": subject or None,
                "status": "ok",
                "frame": 0,
                "notes": [],
                **more,
            }
        )
        return str(row["image_id"])

    def pair(
        self, a: str, b: str, relation: str = "same_subject", decision: str = "review", **more: Any
    ) -> None:
        """A row of ``pairs.parquet`` for two images by their ids."""
        rows = {row["image_id"]: row for row in self.images}
        made: dict[str, Any] = {"relation": relation, "decision": decision, "evidence": ["alike"]}
        for side, image in (("a", rows[a]), ("b", rows[b])):
            made |= {f"{name}_{side}": image[name] for name in ("dataset", "path", "subject")}
            made[f"image_{side}"] = image["image_id"]
        self.pairs.append({**made, **more})

    def group(self, name: str, *ids: str) -> None:
        """Rows of ``subjects.parquet`` for images that leaks link."""
        rows = {row["image_id"]: row for row in self.images}
        self.subjects += [
            {"group": name, "dataset": rows[i]["dataset"], "image_id": i, "n_images": len(ids)} for i in ids
        ]

    def write(self, name: str = "run", sources: Mapping[str, str] | None = None) -> Path:
        """Writes the run folder."""
        folder = RunFolder(self.root / name)
        folder.path.mkdir()
        datasets = list(dict.fromkeys(row["dataset"] for row in self.images))
        where = {d: str((self.root / d).resolve()) for d in datasets} if sources is None else sources
        vectors = unit_vectors(0, len(self.images))
        prints = [
            {"image_id": r["image_id"], "dataset": r["dataset"], "fingerprint": v.astype(np.float16)}
            for r, v in zip(self.images, vectors, strict=True)
        ]
        for schema, rows in (
            (tables.IMAGES, self.images),
            (tables.FINGERPRINTS, prints),
            (tables.PAIRS, self.pairs),
            (tables.SUBJECTS, self.subjects),
        ):
            tables.write(tables.from_rows(rows, schema), folder.table(tables.name_of(schema)))
        summary = {
            "datasets": [{"name": d} for d in datasets],
            "sources": where,
            "comparisons": [],
            **self.facts,
        }
        folder.summary.write_text(json.dumps(summary))
        return folder.path


def films_run(root: Path, films: Sequence[npt.NDArray[np.uint8]]) -> Path:
    """Two datasets of drawn films, with a card of every kind.

    Subject ``ann`` of A has two films, of which the first is mirrored and negative in B and the second is
    there pixel by pixel; ``bob`` and ``cy`` are for review; the films of ``dot`` are the same file.
    """
    made = MadeRun(root)
    a1 = made.image("A", "ann/1.png", films[0], "ann", acquired="2020-01-01", study_uid_hash="s1")
    a2 = made.image("A", "ann/2.png", films[1], "ann", acquired="2020-03-01")
    made.image("A", "ann/3.png", films[2], "ann")
    bob = made.image("A", "bob.png", films[3], "bob")
    dot = made.image("A", "dot.png", films[4], "dot")
    turned = np.ascontiguousarray(255 - films[0][:, ::-1])
    b1 = made.image("B", "x/1.png", turned, "xena", acquired="2021-01-01")
    b2 = made.image("B", "x/2.png", films[1], "xena")
    cy = made.image("B", "cy.png", films[5], "cy")
    same = made.image("B", "dot-again.png", films[4])
    common = {"p_value": 1e-6, "score": 0.9}
    made.pair(a2, b2, "same_pixels", "leak", transform="", correlation=1.0, inliers=200, **common)
    made.pair(a1, b1, "same_image", "leak", transform="hflip+invert", correlation=0.99, inliers=150, **common)
    made.pair(bob, cy, "same_subject", "review", p_value=2e-4, score=0.8)
    made.pair(dot, cy, "same_subject", "review", p_value=9e-4, score=0.7)
    made.pair(dot, same, "same_file", "leak", transform="", correlation=1.0, inliers=99, **common)
    made.group("g1", a1, a2, b1, b2)
    made.group("g2", dot, same)
    made.facts["comparisons"] = [{"a": "A", "b": "B", "subject_comparisons": {"made-up@1": 10_000}}]
    return made.write()


def volumes_run(root: Path) -> Path:
    """Two datasets of one drawn head each, the second mirrored and moved in its file."""
    made = MadeRun(root)
    head = draw_brain(np.random.default_rng(0), (40, 48, 40), 4.0)
    ids = []
    for dataset, name, values in (
        ("A", "one.nii.gz", head),
        ("B", "two.nii.gz", np.roll(head[::-1], 2, axis=1)),
    ):
        place = root / dataset / name
        place.parent.mkdir(parents=True)
        voxels = np.ascontiguousarray(values.astype(np.int16))
        image = nib.Nifti1Image(voxels, np.diag([4.0, 4.0, 4.0, 1.0]))  # type: ignore[no-untyped-call]
        nib.save(image, place)  # type: ignore[no-untyped-call]
        about = {"format": "nifti", "kind": "brain_mri", "spacing_mm": [4.0] * 3}
        ids.append(made.row(dataset, name, voxels, **about))
    made.pair(ids[0], ids[1], "same_image", "review", probability=0.6, p_value=1e-6)
    return made.write()
