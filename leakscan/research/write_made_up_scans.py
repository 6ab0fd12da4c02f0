"""Writes made-up scans: ``python -m leakscan.research.write_made_up_scans MANIFEST... -o FOLDER``.

Every head of the manifests' split ``train`` is scanned several times in random contrasts. With
``--others``, each head also becomes other people by smooth deformation. ``FOLDER/manifest.csv`` has the
columns that ``leakscan train`` reads; the contrasts are called ``view0``, ``view1``... ``FOLDER/sheet.png``
shows the first people: a line each, of every view a slice from the side and one from above.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import nibabel
import numpy as np
import numpy.typing as npt
import torch
import typer
from PIL import Image

from leakscan.cli.output import Output
from leakscan.fingerprint.preprocess.volume import STEP_MM
from leakscan.research.command import run_command
from leakscan.synthetic.brains.generator import Manner, make_views
from leakscan.synthetic.brains.people import read_people
from leakscan.training.brains.labelled_heads import read_heads

_BENT_MM = 3.0
_SHOWN = 6  # people on the sheet
_VALIDATION = 5  # one head of this many is for val


def write_made_up_scans(
    manifests: Annotated[
        list[Path], typer.Argument(help="CSV with path, subject_id, contrast (labels or T1) and split.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    views: Annotated[int, typer.Option("--views", help="Scans of every person.", min=1)] = 4,
    others: Annotated[int, typer.Option("--others", help="Further people made of every head.", min=0)] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of people and scans.")] = 0,
) -> None:
    """Write made-up scans of heads as NIfTI files, with a manifest and a sheet that shows some.

    Example: python -m leakscan.research.write_made_up_scans heads.csv -o scans --views 4 --others 1
    """
    people = read_people(read_heads(manifests)["train"])
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    shown: dict[str, list[npt.NDArray[np.uint8]]] = {}
    torch.manual_seed(seed)
    with Output().progress() as progress:
        progress.start("scan", len(people) * (1 + others) * views)
        for i, subject in enumerate(people.subjects.tolist()):
            head = people.take(np.array([i]))
            split = "val" if sum(map(ord, subject)) % _VALIDATION == 0 else "train"
            for other in range(1 + others):
                for view in range(views):
                    seeds = [seed * 1000 + other] if other else None
                    image = make_views(head, Manner(), None, seeds, _BENT_MM if other else 0.0).images[0, 0]
                    name = f"{subject.replace(':', '_')}-{i}-{other}-view{view}.nii.gz"
                    voxels = np.rint(image.numpy() * 255).astype(np.uint8)
                    _save_scan(voxels, output / name)
                    rows.append((name, f"{subject}#{other}", f"view{view}", split))
                    shown.setdefault(f"{i}#{other}", []).append(_slices(voxels))
                    progress.advance()
        progress.finish()
    lines = [np.concatenate(slices, axis=1) for slices in list(shown.values())[:_SHOWN]]
    Image.fromarray(np.concatenate(lines)).save(output / "sheet.png", optimize=True)
    with (output / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "subject_id", "contrast", "split"), *rows])


def _save_scan(voxels: npt.NDArray[np.uint8], path: Path) -> None:
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    scan = nibabel.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    nibabel.save(scan, path)


def _slices(voxels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The middle of a volume ``(x, y, z)`` from the side and from above, side by side, equally high."""
    side = np.rot90(voxels[voxels.shape[0] // 2])
    above = np.rot90(voxels[:, :, voxels.shape[2] // 2])
    high = max(len(side), len(above))
    return np.concatenate([np.pad(s, ((0, high - len(s)), (0, 0))) for s in (side, above)], axis=1)


if __name__ == "__main__":
    run_command(write_made_up_scans)
