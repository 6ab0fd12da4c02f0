"""Are children of two names one child? ``python -m leakscan.research.split_children DATA``.

Kermany's films are numbered by child. Were the numbers right, the most alike films of two children would have
numbers as far apart as any two. Where one child got several numbers, at one admission, they lie near each
other. The numbers are read from the names of the files and answer nothing but this. Prints JSON.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.cli.output import Output
from leakscan.research.command import DataArgument, EncoderOption, run_command
from leakscan.research.film_splits import short
from leakscan.research.labelled_films import LabelledFilms, read_films
from leakscan.run.context import RunContext
from leakscan.settings import Settings

NEAR = (10, 30)
"""Numbers so far apart or less are near."""
FIRST = (50, 200, 1_000, 5_000)
"""So many of the most alike pairs."""
_SETS = ("kermany/manifest.csv?split=train", "kermany/manifest.csv?split=test")
_CACHE = Path("~/.cache/leakscan-measure")
_NUMBER = re.compile(r"person(?P<child>\d+)_(?P<kind>[a-z]+)_|(?P<series>NORMAL2-)?IM-(?P<scan>\d+)")

Ints = npt.NDArray[np.int64]


def numbered(path: str) -> tuple[str, int]:
    """The series that a film's number counts in, and the number.

    Args:
        path: The path of the film.

    Raises:
        ValueError: The name has no number.

    Example:
        >>> numbered("images/person979_virus_1654.jpeg"), numbered("images/NORMAL2-IM-0414-0001.jpeg")
        (('virus', 979), ('NORMAL2-', 414))
    """
    found = _NUMBER.search(path)
    if found is None:
        raise ValueError(f"{path} has no number")
    if found["child"]:
        return found["kind"], int(found["child"])
    return found["series"] or "", int(found["scan"])


def near_share(apart: Ints, likeness: npt.NDArray[np.float64], first: Sequence[int]) -> dict[str, Any]:
    """How many pairs have near numbers, among the most alike ones and among all.

    Args:
        apart: ``(n,)`` how far the numbers of two films lie apart.
        likeness: ``(n,)`` how alike they are.
        first: How many of the most alike ones.

    Example:
        >>> near_share(np.array([1, 400, 90, 20]), np.array([0.9, 0.1, 0.2, 0.3]), [1])["1"]["within_10"]
        1.0
    """
    order = np.argsort(-likeness, kind="stable")
    rows = {str(n): order[:n] for n in first if n < len(order)} | {"all": order}
    return {
        name: {f"within_{far}": short(float((apart[chosen] <= far).mean())) for far in NEAR}
        | {"median": float(np.median(apart[chosen])), "pairs": len(chosen)}
        for name, chosen in rows.items()
    }


def _measured(films: LabelledFilms) -> dict[str, Any]:
    stored = films.rows["fingerprint"].combine_chunks()
    prints = stored.flatten().to_numpy(zero_copy_only=False).reshape(len(stored), -1).astype(np.float32)
    series, number = zip(*map(numbered, films.rows["path"].to_pylist()), strict=True)
    _, kind = np.unique(series, return_inverse=True)
    i, j = np.triu_indices(len(prints), 1)
    other = (films.codes[i] != films.codes[j]) & (kind[i] == kind[j])
    i, j = i[other], j[other]
    numbers = np.array(number, np.int64)
    return near_share(np.abs(numbers[i] - numbers[j]), (prints @ prints.T)[i, j].astype(np.float64), FIRST)


def split_children(data: DataArgument, encoder: EncoderOption = None) -> None:
    """Hold the numbers of alike children against each other, and print JSON.

    Example: python -m leakscan.research.split_children DATA
    """
    out = Output(as_json=True)
    bar = Output().progress()
    with bar:
        settings = Settings.of(cache=_CACHE.expanduser(), encoder=encoder, workers=0)
        context = RunContext.open(settings, bar)
        found = {one: _measured(read_films([[str(data / "cxr" / one)]], context)) for one in _SETS}
    out.data(found)


if __name__ == "__main__":
    run_command(split_children)
