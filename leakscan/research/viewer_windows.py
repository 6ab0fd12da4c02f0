"""Pictures in the window of a viewer: ``python -m leakscan.research.viewer_windows DATA``.

Pictures of ``busi``, ``cxr/ieee8023``, ``slices`` and ``cxr/nih`` are shown as screenshots show them: in a
window with bars, buttons, texts and small pictures of others beside it, filling their place or half of it,
two in a window, or in a window on a desktop. The vote of keypoints, the glance and the check must say yes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.evaluation.bench import one_per_subject
from leakscan.research.command import run_command
from leakscan.research.copy_limits import NIH, SETS, is_found, values_of
from leakscan.research.masked_copies import sized

Floats = npt.NDArray[np.float32]
Shot = Callable[[Floats, list[Floats], np.random.Generator], Floats]

_WIDTH, _HEIGHT = 1280, 800
_BARS = (76, 24)  # px above and below what is shown
_SIDE = 150  # px of the strip with small pictures


def viewer_windows(
    data: Annotated[Path, typer.Argument(help="Folder that holds busi/, cxr/ and slices/.")],
    pictures: Annotated[int, typer.Option("--pictures", help="Pictures of each set.", min=6)] = 24,
) -> None:
    """Measure which pictures are found in screenshots of viewers, and print JSON lines.

    Example: python -m leakscan.research.viewer_windows DATA --pictures 24
    """
    out = Output()
    for source in (*SETS, NIH):
        rng = np.random.default_rng(5)
        refs = [ref for ref in one_per_subject(str(data / source)) if ref.ndim == 2]
        films = [sized(values_of(refs[i])) for i in rng.permutation(len(refs))[:pictures]]
        for name, shot in SHOTS.items():
            found = 0
            for i, film in enumerate(films):
                others = [films[(i + k) % len(films)] for k in range(1, 5)]
                found += is_found(film, shot(film, others, rng))
            out.say(json.dumps({"set": source, "shown": name, "found": found, "of": len(films)}))


def _window(film: Floats, others: list[Floats], rng: np.random.Generator, share: float = 1.0) -> Floats:
    """A window that shows a picture in the middle, as large as its place allows or by a share of that."""
    grey = float(rng.choice([0, 60, 128, 190]))
    shot = np.full((_HEIGHT, _WIDTH), grey, np.uint8)
    shot[: _BARS[0]], shot[-_BARS[1] :] = 110, 180
    shot[:28] = 200
    _write(shot, "Viewer - CHEST PA 2 of 4 - DOE^JOHN", (10, 19), 20)
    for left in range(10, 650, 46):
        cv2.rectangle(shot, (left, 34), (left + 38, 70), 160, -1)
        end = int(left + rng.integers(8, 32)), int(rng.integers(38, 66))
        cv2.line(shot, (left + 6, 64), end, 20, 3)
    shot[_BARS[0] : -_BARS[1], :_SIDE] = 40
    for number, other in enumerate(others):
        top = _BARS[0] + 14 + 150 * number
        shot[top : top + 120, 15:135] = cv2.resize(np.clip(other, 0, 255).astype(np.uint8), (120, 120))
    place = (_BARS[0], _SIDE, _HEIGHT - sum(_BARS), _WIDTH - _SIDE)
    _show(shot, film, place, share)
    _write(shot, "DOE^JOHN 1950-01-01", (_SIDE + 8, 96), 230)
    _write(shot, "Zoom 71%  WL 2048 WW 4096", (10, _HEIGHT - 8), 20)
    return shot.astype(np.float32)


def _two(film: Floats, others: list[Floats], rng: np.random.Generator) -> Floats:
    """A window that shows a picture beside another one."""
    shot = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    shot[:40] = 120
    for left, shown in ((0, film), (_WIDTH // 2, others[0])):
        _show(shot, shown, (40, left, _HEIGHT - 40, _WIDTH // 2), 0.98)
    return shot.astype(np.float32)


def _desktop(film: Floats, others: list[Floats], rng: np.random.Generator) -> Floats:
    """A window on a desktop that runs from light to dark, with icons and a bar."""
    height, width = 1080, 1920
    knots = (60 + 90 * rng.random((3, 4))).astype(np.float32)
    shot = np.asarray(cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    window = cv2.resize(_window(film, others, rng), None, fx=0.85, fy=0.85, interpolation=cv2.INTER_AREA)
    top = int(rng.integers(0, height - window.shape[0] - 40))
    left = int(rng.integers(0, width - window.shape[1]))
    shot[top : top + window.shape[0], left : left + window.shape[1]] = window
    shot[-40:] = 30
    for number in range(10):
        shade = float(rng.integers(60, 255))
        shot[20 + 90 * number : 60 + 90 * number, width - 80 : width - 40] = shade
        shot[-36:-4, 10 + 50 * number : 46 + 50 * number] = shade
    return shot


def _show(shot: npt.NDArray[np.uint8], film: Floats, place: tuple[int, int, int, int], share: float) -> None:
    top, left, high, wide = place
    scale = min(high / film.shape[0], wide / film.shape[1]) * share
    size = max(1, int(film.shape[1] * scale)), max(1, int(film.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = np.clip(cv2.resize(film, size, interpolation=method), 0, 255).astype(np.uint8)
    top, left = top + (high - size[1]) // 2, left + (wide - size[0]) // 2
    shot[top : top + size[1], left : left + size[0]] = shown
    _write(shot, "R", (left + 8, top + min(60, size[1] // 3)), 230, 1.0)


def _write(
    shot: npt.NDArray[np.uint8], text: str, at: tuple[int, int], grey: int, size: float = 0.45
) -> None:
    cv2.putText(shot, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, grey, 1, cv2.LINE_AA)


SHOTS: dict[str, Shot] = {
    "in a window": _window,
    "in a window, half as large": lambda film, others, rng: _window(film, others, rng, 0.5),
    "two in a window": _two,
    "in a window on a desktop": _desktop,
}
"""How a picture is shown, by name: the picture, four others, and a source of draws."""


if __name__ == "__main__":
    run_command(viewer_windows)
