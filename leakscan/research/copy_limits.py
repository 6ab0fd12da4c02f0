"""Where the copy check of pictures ends: ``python -m leakscan.research.copy_limits DATA``.

Pictures of ``busi``, ``cxr/ieee8023``, ``slices`` and ``cxr/nih`` are cut to patches that share a part, cut
out, squashed; the vote of keypoints, the glance and the check itself must all say yes. Pairs of strangers
that agree best by their keypoints are checked as well, with every stretch that is allowed, and without.
Slices of ``mri`` are saved as pictures in five ways and sought in the volumes that half of them come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import cv2
import nibabel as nib
import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.decide.copies.copy_check import NEAR_BITS
from leakscan.decide.copies.describing import load_pixels
from leakscan.decide.copies.keypoint_vote import vote
from leakscan.decide.copies.picture_check import STRETCHED, check_pictures, stretch_between
from leakscan.decide.copies.picture_features import describe_picture, glance, worth_a_check
from leakscan.decide.copies.slices import SliceTask, by_picture, check_slices, nearest_cuts
from leakscan.errors import ImageError
from leakscan.evaluation.bench import one_per_subject
from leakscan.fingerprint.hashing import hamming, perceptual_hashes
from leakscan.fingerprint.keypoints import find_keypoints
from leakscan.match.index.keypoints import KeypointIndex
from leakscan.research.command import run_command
from leakscan.settings import DecodeOptions
from leakscan.types import ImageRef

Floats = npt.NDArray[np.float32]
Change = Callable[[Floats], tuple[Floats, Floats]]

SETS = ("busi/manifest.csv?published=kept", "cxr/ieee8023/manifest.csv", "slices/manifest.csv?split=test")
NIH = "cxr/nih/manifest.csv?split=val"
_SMALLEST_SIDE = 200
_NEAREST = 12


def copy_limits(
    data: Annotated[Path, typer.Argument(help="Folder that holds busi/, cxr/, slices/ and mri/.")],
    pictures: Annotated[int, typer.Option("--pictures", help="Pictures of each set.", min=2)] = 12,
    strangers: Annotated[int, typer.Option("--strangers", help="Pairs of strangers a set.", min=1)] = 400,
    volumes: Annotated[int, typer.Option("--volumes", help="Volumes to cut.", min=0)] = 8,
) -> None:
    """Measure what the copy check finds of altered pictures, and how often it errs, and print JSON lines.

    Example: python -m leakscan.research.copy_limits DATA --pictures 12 --strangers 400
    """
    out, rng = Output(), np.random.default_rng(0)
    for source in (*SETS, NIH):
        refs = [ref for ref in one_per_subject(str(data / source)) if ref.ndim == 2]
        chosen = [refs[i] for i in rng.permutation(len(refs))]
        films = [
            film for ref in chosen[: 4 * pictures] if min((film := values_of(ref)).shape) >= _SMALLEST_SIDE
        ]
        for name, change in _changes():
            found = sum(is_found(*change(film)) for film in films[:pictures])
            out.say(json.dumps({"set": source, "change": name, "found": found, "of": len(films[:pictures])}))
        some = [values_of(ref) for ref in chosen[:150]]
        out.say(json.dumps({"set": source, **strangers_called(some, strangers)}))
    if volumes:
        out.say(json.dumps({"set": "mri", **slices_found(data, volumes, rng)}))


def _changes() -> Iterator[tuple[str, Change]]:
    """What is done to a picture, by name: two pictures that show the same in part."""
    for share in (0.5, 0.4, 0.3):
        yield f"patches that share {share:.0%}", lambda film, s=share: _patches(film, s)  # type: ignore[misc]
    for area in (0.33, 0.25, 0.2, 0.1):
        yield f"the middle, {area:.0%} of the area", lambda film, a=area: (film, _middle(film, a))  # type: ignore[misc]
    for height in (0.7, 0.5, 0.4):
        yield f"squashed to {height:.0%} of its height", lambda film, h=height: (film, _squashed(film, h))  # type: ignore[misc]


def _patches(film: Floats, share: float) -> tuple[Floats, Floats]:
    width = film.shape[1]
    side = int(width / (2 - share))
    return film[:, :side], film[:, width - side :]


def _middle(film: Floats, area: float) -> Floats:
    top, left = (round(n * (1 - area**0.5) / 2) for n in film.shape)
    return film[top : film.shape[0] - top, left : film.shape[1] - left]


def _squashed(film: Floats, height: float) -> Floats:
    size = (film.shape[1], round(film.shape[0] * height))
    return np.asarray(cv2.resize(film, size, interpolation=cv2.INTER_AREA), np.float32)


def is_found(a: Floats, b: Floats) -> bool:
    """Whether every step of a run would let a pair through, and its last call it a copy."""
    bits = int(hamming(perceptual_hashes(a)[:, None], perceptual_hashes(b)[None]).min())
    stretched = bits <= NEAR_BITS and stretch_between(a.shape[:2], b.shape[:2]) > STRETCHED
    if stretched:
        return check_pictures(*map(describe_picture, (a, b))).same_image
    said = vote(find_keypoints(a).to_bytes(), find_keypoints(b).to_bytes())
    if said is None:
        said = worth_a_check(glance(a), glance(b))
    return said and check_pictures(*map(describe_picture, (a, b))).same_image


def strangers_called(films: list[Floats], most: int) -> dict[str, object]:
    """How many pairs of different pictures are called copies once one is squashed to half its size.

    The pairs are those that share most by their keypoints. What is called a copy without any change is a
    repeat in the set, and left out: the question is what the allowance of stretch adds.

    Args:
        films: Pictures of different subjects, as far as that is known.
        most: The most pairs to check.

    Example:
        ``strangers_called(films, 400)["called once one was squashed"]``
    """
    kept = [find_keypoints(film).to_bytes() for film in films]
    hits = KeypointIndex(kept).nearest(kept, _NEAREST)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in zip(hits.query, hits.found, strict=True) if a != b})[
        :most
    ]
    checked = repeats = called = 0
    for i, j in pairs:
        a, b = describe_picture(films[i]), describe_picture(films[j])
        if check_pictures(a, b).same_image:
            repeats += 1
            continue
        checked += 1
        for squashed in (_squashed(films[j], 0.5), _squashed(films[j].T, 0.5).T):
            other = describe_picture(np.ascontiguousarray(squashed))
            if check_pictures(a, other).same_image:
                called += 1
    return {
        "strangers": checked, "repeats left out": repeats, "called once one was squashed": called,
    }  # fmt: skip


def slices_found(data: Path, volumes: int, rng: np.random.Generator) -> dict[str, object]:
    """How many slices that were saved as pictures are found in their volume, and how many in another.

    Args:
        data: The folder that holds ``mri``.
        volumes: The number of volumes; pictures are cut from all, and every second one is searched.
        rng: Chooses the volumes.

    Example:
        ``slices_found(Path("data"), 8, np.random.default_rng(0))["found"]``
    """
    folders = ("ds000011", "ds002748", "tumour")
    paths = [p for folder in folders for p in sorted((data / "mri" / folder).glob("*.nii.gz"))]
    chosen = [paths[i] for i in rng.permutation(len(paths))[:volumes]]
    saved = [(number, where, shown) for number, p in enumerate(chosen) for where, shown in _saved(p, number)]
    hashes = np.array([perceptual_hashes(shown) for *_, shown in saved], np.uint64)
    owed = sum(number % 2 == 0 for number, *_ in saved)
    found = right = false = 0
    options = DecodeOptions()
    for number, path in list(enumerate(chosen))[::2]:
        ref = ImageRef(image_id="v", path=path.name, format="nifti", files=(str(path),), ndim=3)
        for place, cuts in by_picture(nearest_cuts(ref, hashes, options) or []).items():
            own, where, shown = saved[place]
            png = cv2.imencode(".png", shown.astype(np.uint8))[1].tobytes()
            (check,) = check_slices(SliceTask(ref, (png,), (cuts,)), options)
            if check is not None and check.same_image:
                found += own == number
                right += own == number and check.transform.startswith(where)
                false += own != number
    return {"slices of searched volumes": owed, "found": found, "at their place": right, "false": false}


def _saved(path: Path, number: int) -> Iterator[tuple[str, Floats]]:
    """Slices of a volume as people save them, and what a finding must call them."""
    voxels = np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj, np.float32)  # type: ignore[no-untyped-call]
    voxels = voxels if voxels.ndim == 3 else voxels[..., 0]
    grey = np.clip(voxels / max(float(np.percentile(voxels, 99.7)), 1e-6) * 255, 0, 255)
    for axis, part in ((a, f) for a in range(3) for f in (0.42, 0.55)):
        index = int(grey.shape[axis] * part)
        shown = np.rot90(grey.take(index, axis)).astype(np.float32)
        if float(shown.std()) < 5 or min(shown.shape) < 32:
            continue
        way = (axis * 2 + int(part > 0.5) + number) % 5
        height, width = shown.shape
        if way == 1:
            shown = cv2.resize(shown, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC)
        elif way == 2:
            shown = shown[int(height * 0.1) : int(height * 0.95), int(width * 0.08) : int(width * 0.93)]
        elif way == 3:
            shown = cv2.resize(shown[:, ::-1], (256, 256), interpolation=cv2.INTER_CUBIC)
        elif way == 4:
            shown = (shown / 255) ** 0.7 * 255
        yield (
            f"slice-{'xyz'[axis]}-{index + 1}",
            np.clip(np.ascontiguousarray(shown), 0, 255).astype(np.float32),
        )


def values_of(ref: ImageRef) -> Floats:
    try:
        return load_pixels(ref, DecodeOptions()).values
    except ImageError:
        return np.zeros((1, 1), np.float32)


if __name__ == "__main__":
    run_command(copy_limits)
