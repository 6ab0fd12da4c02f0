"""Makes ``leakscan/synthetic/film_statistics.safetensors``: what fingerprints of real films are like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from leakscan.cli.output import Output
from leakscan.fingerprint.store import Store
from leakscan.match.pictures import distinct_pictures
from leakscan.research.command import run_command
from leakscan.synthetic.film_statistics import FILE, FilmStatistics


def film_statistics(
    stores: Annotated[list[Path], typer.Argument(help="Stores of films with declared subjects.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = FILE,
) -> None:
    """Write the mean and the covariances of the fingerprints in stores, between and within subjects."""
    prints, names, hashes = [], [], []
    for folder in stores:
        side = distinct_pictures(Store.open(folder).load())
        (encoder,) = side.fingerprints
        pictures = side.pictures(encoder)
        named = np.array([side.subjects[i] is not None for i in pictures.tolist()])
        prints.append(side.fingerprints[encoder][named])
        names += [side.subjects[i] for i in pictures[named].tolist()]
        hashes.append(side.phash[:, 0])
    _, codes = np.unique(np.array(names), return_inverse=True)
    FilmStatistics.of(np.concatenate(prints), codes, np.concatenate(hashes)).write(output)
    Output().say(f"{output}: {len(codes):,} films of {int(codes.max()) + 1:,} subjects")


if __name__ == "__main__":
    run_command(film_statistics)
