"""The benchmark behind ``leakscan bench speed``: the main job beside its encoder alone and its peers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from leakscan.engines import start_engine
from leakscan.errors import ImageError, UsageError
from leakscan.evaluation.bench import run_figures
from leakscan.evaluation.measured_run import measure_process, run_compare
from leakscan.fingerprint.encoders.load import encoder_here, load_encoder, runs_in_workers
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.sources.open import open_source
from leakscan.types import ImageRef, Kind, Progress, Silent

SIDE = 256

PEERS = {
    "fastdup": "import fastdup; fastdup.create(work_dir={work!r}, input_dir={films!r}).run(overwrite=True)",
    "imagededup": (
        "from imagededup.methods import PHash; p = PHash(); "
        "p.find_duplicates(encoding_map=p.encode_images(image_dir={films!r}, recursive=True))"
    ),
    "cleanvision": (
        "from cleanvision import Imagelab; "
        "Imagelab(data_path={films!r}).find_issues({{'exact_duplicates': {{}}, 'near_duplicates': {{}}}})"
    ),
}
"""What finds duplicates in one folder with other tools at their defaults; each is one dataset to them."""


@dataclass(frozen=True)
class Peers:
    """Other tools to time on the same films.

    Attributes:
        python: The interpreter that they are installed for; their needs often exclude each other.
    """

    python: str = sys.executable


def speed_bench(
    source: str, work: Path, images: int, peers: Peers | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Times the first and the second run on two folders of 256 px PNG.

    Beside them stand what the run cannot go below: decoding the same files once on one core with Pillow, and
    the encoder alone on the same films, in as many processes as the run has. All is measured one after the
    other, so on a busy machine the ratios say more than the seconds.

    Args:
        source: A folder or manifest with at least twice as many films.
        work: An empty folder to work in.
        images: The number of images in each of the two folders.
        peers: Other tools to time on both folders together; those that are not installed are named.
        progress: Receives what is being done.

    Raises:
        LeakscanError: There are too few films, or the run failed.

    Example::

        found = speed_bench("films.csv", fresh_folder(Path("bench")), images=1000)
        print(found["over_encoder"], found["first"]["seconds"], found["second"]["seconds"])
    """
    progress = progress or Silent()
    progress.start("Writing films", 2 * images)
    folders = _films(source, work / "films", images, progress)
    progress.start("Decoding alone", None)
    floor = _decode_seconds(folders)
    progress.start("Encoding alone", None)
    alone = _encode_seconds(folders)
    progress.start("Comparing", None)
    first = run_compare(folders, work / "run", work / "cache")
    progress.start("Comparing again", None)
    second = run_compare(folders, work / "run", work / "cache")
    found: dict[str, Any] = {
        "images": [images, images],
        "side_px": SIDE,
        "pillow_decode_s": round(floor, 2),
        "encoder_alone_s": round(alone, 2),
        "first": run_figures(first),
        "second": run_figures(second),
        "first_over_decode": round(first.seconds / floor, 1),
        "first_over_encoder": round(first.seconds / alone, 2) if alone else None,
        "images_per_second": round(2 * images / first.seconds, 1),
        "store_bytes_per_image": round(_size(work / "cache" / "stores") / (2 * images)),
        "peers": {},
    }
    for name in PEERS if peers is not None else ():
        progress.start(f"Timing {name}", None)
        found["peers"][name] = _peer(name, work, peers or Peers(), first.seconds)
    progress.finish()
    return found


def _peer(name: str, work: Path, peers: Peers, ours: float) -> dict[str, Any]:
    """The seconds of one other tool, or why there are none."""
    known = measure_process([peers.python, "-c", f"import {name}"])
    if known.code:
        return {"installed": False}
    code = PEERS[name].format(work=str(work / name), films=str(work / "films"))
    done = measure_process([peers.python, "-c", code])
    if done.code:
        return {"installed": True, "error": done.errors.strip().splitlines()[-1:]}
    return {
        "installed": True,
        "seconds": round(done.seconds, 1),
        "cpu_seconds": round(done.cpu_seconds, 1),
        "peak_mb": round(done.peak_mb),
        "ours_over_theirs": round(ours / done.seconds, 2),
    }


def _films(source: str, folder: Path, images: int, progress: Progress) -> list[Path]:
    """Two folders of films as PNG."""
    refs = (ref for ref in open_source(source, DecodeOptions()).scan(Silent()) if ref.status == "ok")
    folders = [folder / "A", folder / "B"]
    for each in folders:
        each.mkdir(parents=True)
        for number in range(images):
            ref = next(refs, None)
            if ref is None:
                raise UsageError(
                    f"{{path}} has fewer than {2 * images} readable films.",
                    "Ask for fewer images.",
                    code="few_films",
                    path=source,
                )
            _as_png(ref, each / f"{number:06d}.png")
            progress.advance()
    return folders


def _as_png(ref: ImageRef, path: Path) -> None:
    try:
        values = decode(ref, DecodeOptions()).values
    except ImageError as e:
        raise UsageError(f"{ref.path}: {e.message}") from e
    low, high = float(values.min()), float(values.max())
    grey = np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
    Image.fromarray(grey).resize((SIDE, SIDE)).save(path)


def _pictures(folders: Sequence[Path]) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    for folder in folders:
        for path in sorted(folder.iterdir()):
            with Image.open(path) as image:
                yield np.asarray(image)


def _decode_seconds(folders: Sequence[Path]) -> float:
    began = time.monotonic()
    for _ in _pictures(folders):
        pass
    return time.monotonic() - began


def _encode_seconds(folders: Sequence[Path]) -> float:
    """The wall time of the encoder alone on the films of the folders."""
    entry = card_for("chest_radiograph")
    if entry is None:
        return 0.0
    side = entry[0].side
    films = [
        np.rint(canonical_radiograph(picture, side) * 255).astype(np.uint8) for picture in _pictures(folders)
    ]
    return encoder_seconds("chest_radiograph", films)


def encoder_seconds(kind: Kind, images: Sequence[np.ndarray[Any, np.dtype[np.uint8]]]) -> float:
    """The wall time of an encoder alone, once its images are in memory and its processes have started.

    Args:
        kind: What it serves; where there is no encoder for it, it takes no time.
        images: The canonical arrays.

    Example::

        encoder_seconds("chest_radiograph", films) / len(films)
    """
    entry = card_for(kind)
    if entry is None:
        return 0.0
    card, folder = entry
    if not runs_in_workers(card, folder):
        encoder = load_encoder(card, folder)
        began = time.monotonic()
        encoder.encode(np.stack(images))
        return time.monotonic() - began
    engine = start_engine()
    few = images[: 4 * engine.workers]
    list(engine.map(_encode, [(str(folder), image) for image in (*few, *few, *few)]))
    began = time.monotonic()
    for _ in engine.map(
        _encode, [(str(folder), image) for image in images], chunk=1 if images[0].ndim == 3 else 8
    ):
        pass
    return time.monotonic() - began


def _encode(item: tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]) -> bool:
    folder, image = item
    return bool(encoder_here(folder).encode(image[None]).accepted[0])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
