"""Makes ``leakscan/synthetic/film_statistics.safetensors``: what fingerprints of real films are like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.fingerprint.hashing import hamming
from leakscan.fingerprint.store import Store
from leakscan.match.pictures import distinct_pictures
from leakscan.research.command import run_command
from leakscan.synthetic.film_statistics import FILE, FilmStatistics

_FILMS = 1000  # whose hashes are compared with all others


def film_statistics(
    stores: Annotated[list[Path], typer.Argument(help="Stores of films with declared subjects.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = FILE,
) -> None:
    """Write the mean and the covariances of the fingerprints in stores, between and within subjects.

    Prints as well how near the perceptual hashes of films of different subjects come in any orientation.
    """
    prints, names, hashes = [], [], []
    for folder in stores:
        side = distinct_pictures(Store.open(folder).load())
        (encoder,) = side.fingerprints
        pictures = side.pictures(encoder)
        named = np.array([side.subjects[i] is not None for i in pictures.tolist()])
        prints.append(side.fingerprints[encoder][named])
        names += [side.subjects[i] for i in pictures[named].tolist()]
        hashes.append(side.phash[pictures[named]])
    _, codes = np.unique(np.array(names), return_inverse=True)
    FilmStatistics.of(np.concatenate(prints), codes, np.concatenate(hashes)[:, 0]).write(output)
    Output().say(f"{output}: {len(codes):,} films of {int(codes.max()) + 1:,} subjects")
    for bits, share in enumerate(_strangers_within(np.concatenate(hashes), codes)):
        Output().say(f"hashes of strangers within {bits} bits: {share:.2g}")


def _strangers_within(hashes: npt.NDArray[np.uint64], subjects: npt.NDArray[np.int64]) -> list[float]:
    """The share of pairs of films of different subjects that differ in at most 0, 1, ... 8 bits."""
    counts, pairs = np.zeros(64, np.int64), 0
    for film in range(min(_FILMS, len(hashes))):
        others = np.flatnonzero(subjects != subjects[film])
        nearest = np.min([hamming(hashes[film, 0], hashes[others, turn]) for turn in range(8)], axis=0)
        counts += np.bincount(nearest, minlength=64)
        pairs += len(others)
    return [float(share) for share in np.cumsum(counts)[:9] / pairs]


if __name__ == "__main__":
    run_command(film_statistics)
