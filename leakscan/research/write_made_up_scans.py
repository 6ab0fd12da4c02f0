"""Writes made-up scans as NIfTI files: ``python -m leakscan.synthetic.brains MANIFEST... -o FOLDER``.

Every head of the manifests' split ``train`` is scanned several times in random contrasts. With
``--others``, each head also becomes other people by smooth deformation. ``FOLDER/manifest.csv`` has the
columns that ``leakscan train`` reads; the contrasts are called ``view0``, ``view1``... ``FOLDER/sheet.png``
shows the first people: a line each, of every view a slice from the side and one from above.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.console import Console

from leakscan.cli.output import RichProgress
from leakscan.fingerprint.preprocess.volume import STEP_MM
from leakscan.synthetic.brains.generator import Manner, make_views
from leakscan.synthetic.brains.people import read_people
from leakscan.training.brains.labelled_heads import read_heads

_BENT_MM = 3.0
_SHOWN = 6  # people on the sheet
_VALIDATION = 5  # one head of this many is for val


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(prog="python -m leakscan.synthetic.brains", description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--views", type=int, default=4, help="of every person")
    parser.add_argument("--others", type=int, default=0, help="further people made of every head")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    people = read_people(read_heads(given.manifests)["train"])
    given.output.mkdir(parents=True, exist_ok=True)
    progress = RichProgress(Console(stderr=True), True)
    rows = []
    shown: dict[str, list[npt.NDArray[np.uint8]]] = {}
    torch.manual_seed(given.seed)
    progress.start("scan", len(people) * (1 + given.others) * given.views)
    for i, subject in enumerate(people.subjects.tolist()):
        head = people.take(np.array([i]))
        split = "val" if sum(map(ord, subject)) % _VALIDATION == 0 else "train"
        for other in range(1 + given.others):
            for view in range(given.views):
                seeds = [given.seed * 1000 + other] if other else None
                image = make_views(head, Manner(), None, seeds, _BENT_MM if other else 0.0).images[0, 0]
                name = f"{subject.replace(':', '_')}-{i}-{other}-view{view}.nii.gz"
                voxels = np.rint(image.numpy() * 255).astype(np.uint8)
                affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
                scan = nibabel.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
                nibabel.save(scan, given.output / name)
                rows.append((name, f"{subject}#{other}", f"view{view}", split))
                shown.setdefault(f"{i}#{other}", []).append(_slices(voxels))
                progress.advance()
    progress.finish()
    lines = [np.concatenate(views, axis=1) for views in list(shown.values())[:_SHOWN]]
    Image.fromarray(np.concatenate(lines)).save(given.output / "sheet.png", optimize=True)
    with (given.output / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "subject_id", "contrast", "split"), *rows])


def _slices(voxels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The middle of a volume ``(x, y, z)`` from the side and from above, side by side, equally high."""
    side = np.rot90(voxels[voxels.shape[0] // 2])
    above = np.rot90(voxels[:, :, voxels.shape[2] // 2])
    high = max(len(side), len(above))
    return np.concatenate([np.pad(s, ((0, high - len(s)), (0, 0))) for s in (side, above)], axis=1)


if __name__ == "__main__":
    main()
