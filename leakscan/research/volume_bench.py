"""Plants copies of brain volumes: ``python -m leakscan.research.volume_bench SOURCE... -o WORK``.

It makes two folders of volumes of different people. Copies of volumes of A go into B, some of every kind
below. Every other volume of B is altered in the same ways, so that an alteration tells nothing. Then
``compare`` runs as a user would run it. Prints JSON: what was found by kind, false pairs, seconds and memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import typer
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy import ndimage

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.errors import UsageError
from leakscan.evaluation.bench import fresh_folder, one_per_subject
from leakscan.evaluation.measured_run import run_compare
from leakscan.research.command import run_command

Floats = npt.NDArray[np.float32]
Write = Callable[[Floats, npt.NDArray[np.float64], Path, np.random.Generator], None]


def plant_volumes(
    sources: Sequence[str], work: Path, each_side: int, copies: int, seed: int, exclude: Sequence[str] = ()
) -> dict[str, Any]:
    """Plants copies and counts what ``compare`` finds.

    Args:
        sources: Folders or manifests of volumes that nibabel reads; of a declared subject the first is used.
        work: An empty folder to work in.
        each_side: The number of volumes in A and in B.
        copies: The number of copies planted of each kind.
        seed: The seed of the choice and of the alterations.
        exclude: Globs of files to leave out.

    Raises:
        UsageError: There are too few volumes.

    Example::

        found = plant_volumes(["ixi/manifest.csv"], Path("work"), each_side=100, copies=8, seed=0)
        found["found"]["cropped"]  # '8 of 8' at best
    """
    rng = np.random.default_rng(seed)
    files = [Path(ref.files[0]) for source in sources for ref in one_per_subject(source, exclude)]
    planted = copies * len(KINDS)
    needed = 2 * each_side - planted
    if len(files) < needed or each_side < planted:
        raise UsageError(
            f"{needed} volumes and {planted} or more on each side are needed; {len(files)} are there.",
            "Lower --volumes or --copies.",
        )
    chosen = [files[i] for i in rng.permutation(len(files))[:needed]]
    a, others = chosen[:each_side], chosen[each_side:]
    for folder in ("A", "B"):
        (work / folder).mkdir(parents=True)
    names = rng.permutation(len(a) + len(others) + planted).tolist()
    truth: dict[tuple[str, str], str] = {}
    for i, file in enumerate(a):
        name = f"{names.pop():06d}"
        _as_is(*_read(file), work / "A" / name, rng)
        if i < planted:
            kind = list(KINDS)[i % len(KINDS)]
            copy = f"{names.pop():06d}"
            KINDS[kind](*_read(file), work / "B" / copy, rng)
            truth[name, copy] = kind
    for i, file in enumerate(others):
        KINDS[list(KINDS)[i % len(KINDS)]](*_read(file), work / "B" / f"{names.pop():06d}", rng)
    run = run_compare([work / "A", work / "B"], work / "run", work / "cache")
    rows = pq.read_table(work / "run" / "pairs.parquet").to_pylist()
    copied = {_pair(r): r["relation"] for r in rows if r["relation"] != "same_subject"}
    found = Counter(kind for pair, kind in truth.items() if pair in copied)
    return {
        "volumes": [each_side, planted + len(others)],
        "found": {kind: f"{found[kind]} of {copies}" for kind in KINDS},
        "false_copies": sorted(pair for pair in copied if pair not in truth),
        "false_same_subject": sorted({_pair(r) for r in rows} - set(copied) - set(truth)),
        "verified_pairs": sum(c["verified"] for c in run.summary["comparisons"]),
        "seconds": round(run.seconds, 1),
        "peak_mb": round(run.peak_mb),
        "timings": run.summary["timings"],
    }


def _pair(row: dict[str, Any]) -> tuple[str, str]:
    a, b = (Path(row[side]).parts[0].split(".")[0] for side in ("path_a", "path_b"))
    return a, b


def _read(file: Path) -> tuple[Floats, npt.NDArray[np.float64]]:
    image: Any = nib.as_closest_canonical(nib.load(file))  # type: ignore[no-untyped-call]
    values = np.asarray(image.dataobj, np.float32)
    return (values[..., 0] if values.ndim == 4 else values), np.asarray(image.affine, np.float64)


def _save(values: npt.NDArray[Any], affine: npt.NDArray[np.float64], stem: Path) -> None:
    image: Any = nib.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    nib.save(image, stem.with_name(stem.name + ".nii.gz"))


def _as_is(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    _save(v, affine, stem)


def _turned(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    """Axes in another order and direction, as the header says."""
    image: Any = nib.Nifti1Image(v, affine)  # type: ignore[no-untyped-call]
    axes = np.stack([rng.permutation(3), rng.choice([-1, 1], 3)], axis=1)
    nib.save(image.as_reoriented(axes), stem.with_name(stem.name + ".nii.gz"))


def _turned_silently(
    v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator
) -> None:
    """Axes in another order and direction, which the header does not know."""
    flips = tuple(slice(None, None, int(s)) for s in rng.choice([-1, 1], 3))
    _save(np.ascontiguousarray(v.transpose(rng.permutation(3))[flips]), np.diag([2.0, 2.0, 2.0, 1.0]), stem)


def _cropped(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    low = [int(rng.integers(0, max(1, k // 8))) for k in v.shape]
    high = [k - int(rng.integers(0, max(1, k // 8))) for k in v.shape]
    x, y, z = (slice(a, b) for a, b in zip(low, high, strict=True))
    _save(v[x, y, z], affine @ _shift(low), stem)


def _resampled(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    factors = np.array([rng.uniform(0.6, 0.9)] * 2 + [rng.uniform(0.5, 0.9)])
    small = ndimage.zoom(v, factors, order=1)
    zoom = (np.array(v.shape) - 1) / np.maximum(np.array(small.shape) - 1, 1)
    _save(small, affine @ np.diag([*zoom, 1.0]), stem)


def _rescaled(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    """Other grey levels: a factor, a gamma, 8 bits."""
    top = float(np.percentile(v, 99.9))
    grey = np.clip(v / max(top, 1e-6), 0, 1) ** rng.uniform(0.7, 1.4)
    _save(np.rint(grey * 255).astype(np.uint8), affine, stem)


def _wrapped(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    """The volume as a 4D file of one time point."""
    _save((v * np.float32(rng.uniform(0.5, 2)))[..., None], affine, stem)


def _dicom_series(v: Floats, affine: npt.NDArray[np.float64], stem: Path, rng: np.random.Generator) -> None:
    """The volume as a folder of axial DICOM slices."""
    stem.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    grey = np.clip(v * (4000 / max(float(v.max()), 1e-6)), 0, 4095).astype(np.uint16)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    step = np.linalg.norm(lps[:3, :3], axis=0)
    along = lps[:3, :3] / step
    for k in range(grey.shape[2]):
        slice_ = Dataset()
        slice_.file_meta = FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.SOPClassUID, slice_.SOPInstanceUID = MRImageStorage, generate_uid()
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, series, frame
        slice_.Modality, slice_.BodyPartExamined, slice_.InstanceNumber = "MR", "BRAIN", k + 1
        slice_.SeriesNumber, slice_.PatientID, slice_.PatientName = 1, stem.name, ""
        slice_.ImageOrientationPatient = [round(float(x), 6) for x in (*along[:, 0], *along[:, 1])]
        slice_.ImagePositionPatient = [round(float(x), 4) for x in (lps @ [0, 0, k, 1])[:3]]
        slice_.PixelSpacing = [round(float(step[1]), 5), round(float(step[0]), 5)]
        slice_.SliceThickness = round(float(step[2]), 5)
        slice_.Columns, slice_.Rows = grey.shape[:2]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 12, 11, 0
        slice_.PixelData = grey[:, :, k].T.tobytes()
        slice_.save_as(stem / f"{k:04d}.dcm", enforce_file_format=True)


def _shift(voxels: Sequence[int]) -> npt.NDArray[np.float64]:
    out = np.eye(4)
    out[:3, 3] = voxels
    return out


KINDS: dict[str, Write] = {
    "as it was": _as_is,
    "turned": _turned,
    "turned, header lost": _turned_silently,
    "cropped": _cropped,
    "resampled": _resampled,
    "other grey levels": _rescaled,
    "4D file": _wrapped,
    "DICOM series": _dicom_series,
}


def volume_bench(
    sources: Annotated[list[str], typer.Argument(help="Folders or manifests of brain volumes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to work in.")],
    volumes: Annotated[int, typer.Option("--volumes", help="Volumes on each side.", min=1)] = 100,
    copies: Annotated[int, typer.Option("--copies", help="Copies planted of each kind.", min=1)] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the choice and of the alterations.")] = 0,
    exclude: o.Exclude = None,
) -> None:
    """Plant copies of brain volumes, count what compare finds, and print JSON.

    Example: python -m leakscan.research.volume_bench DATA/mri/ixi/manifest.csv -o work
    """
    found = plant_volumes(sources, fresh_folder(output), volumes, copies, seed, exclude or ())
    Output(as_json=True).data(found)


if __name__ == "__main__":
    run_command(volume_bench)
