"""What the model folders of all kinds of encoders share."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from leakscan.error_rates import pair_scores
from leakscan.errors import UsageError
from leakscan.fingerprint.encoders.card import ImpostorScores

NO_IMPOSTORS = ImpostorScores(source="", n_images=0, n_subjects=0, n_pairs=0, fmr=(), score=())
"""What a card holds until its encoder has been run."""

_POINTS = 73  # of the false match rate curve in the card


def check_name(name: str) -> None:
    """Refuses what cannot name an encoder, because it cannot name a folder.

    Raises:
        UsageError: The name has a slash, or nothing but dots.

    Example:
        >>> check_name("our-hospital")
        >>> check_name("../elsewhere")
        Traceback (most recent call last):
        ...
        leakscan.errors.UsageError: '../elsewhere' is no name for an encoder.
    """
    if Path(name).name != name or not name.strip("."):
        raise UsageError(f"{name!r} is no name for an encoder.")


def golden_of(pictures: npt.NDArray[np.uint8], prints: npt.NDArray[np.float32]) -> tuple[dict[str, Any], ...]:
    """What a card holds of golden inputs.

    Args:
        pictures: ``(n, rows, columns)`` uint8 inputs that no person is behind.
        prints: ``(n, dim)`` their fingerprints in float32, the reference for every machine.

    Example:
        >>> picture, prints = np.zeros((1, 8, 8), np.uint8), np.array([[0.6, 0.8]], np.float32)
        >>> (golden,) = golden_of(picture, prints)
        >>> golden["fingerprint"], golden["png"][:8]  # base64 of a PNG
        ([0.6, 0.8], 'iVBORw0K')
    """
    return tuple(
        {"png": _png(picture), "fingerprint": [round(float(v), 6) for v in values]}
        for picture, values in zip(pictures, prints, strict=True)
    )


def impostor_curve(
    prints: npt.NDArray[np.float32], subjects: npt.NDArray[np.str_], source: str
) -> ImpostorScores:
    """The card's false match rate as a function of the cosine, from labelled fingerprints.

    Args:
        prints: ``(n, dim)`` unit fingerprints.
        subjects: ``(n,)`` subject of each.
        source: Whose images they are, in words.

    Example:
        >>> prints = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        >>> prints /= np.linalg.norm(prints, axis=1, keepdims=True)
        >>> curve = impostor_curve(prints, np.arange(40).astype(str), "Made-up people")
        >>> curve.n_pairs, len(curve.fmr), curve.score[0] < curve.score[-1]
        (780, 73, True)
    """
    scores = pair_scores(prints, subjects).impostor
    n = len(scores)
    rates = np.geomspace(0.9, 1 / n, _POINTS)
    at = np.clip(n - np.round(rates * n).astype(int), 0, n - 1)
    values = np.maximum.accumulate(scores[at])
    return ImpostorScores(
        source=source,
        n_images=len(prints),
        n_subjects=len(np.unique(subjects)),
        n_pairs=n,
        fmr=tuple(float(f"{r:.6g}") for r in rates),
        score=tuple(round(float(v), 6) for v in values),
    )


def zipped(folder: Path) -> Path:
    """Writes the zip that ``leakscan models add`` takes beside a model folder, and returns its path.

    Example:
        >>> Path("mine").mkdir()
        >>> Path("mine/card.json").touch()
        >>> zipfile.ZipFile(zipped(Path("mine"))).namelist()
        ['mine/card.json']
    """
    target = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(target, "w") as z:
        for file in sorted(folder.iterdir()):
            z.write(file, f"{folder.name}/{file.name}")
    return target


def _png(picture: npt.NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
