"""Measures how well burnt-in text is found: on drawn films with drawn text, of which every pixel is known.

``python -m leakscan.research.burnt_in_text --films 200`` prints the share of ink that is covered, and how
much of what is covered is no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from PIL import Image, ImageDraw, ImageFont

from leakscan.cli.output import Output
from leakscan.fingerprint.burnt_in import find_text
from leakscan.research.command import run_command
from leakscan.synthetic.films import draw_film

_LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-./^ ")
_HEIGHTS = (208, 320, 512, 768)


@dataclass(frozen=True)
class Lettered:
    """A film with text.

    Attributes:
        film: ``(height, width)`` uint8.
        ink: ``(height, width)``: the pixels of letters.
        near: ``(height, width)``: the lines of text with half a letter around them.
    """

    film: npt.NDArray[np.uint8]
    ink: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]


def letter(film: npt.NDArray[np.uint8], random: np.random.Generator) -> Lettered:
    """Burns one to four lines of text into a film: two kinds of letters, light or dark, some in a box.

    Args:
        film: ``(height, width)``.
        random: Draws the text, its place, size and tone.

    Example:
        >>> made = letter(np.zeros((208, 200), np.uint8), np.random.default_rng(0))
        >>> bool(made.ink.any()), bool((made.ink & ~made.near).any())
        (True, False)
    """
    out = film.copy()
    ink, near = np.zeros(film.shape, np.bool_), np.zeros(film.shape, np.bool_)
    height, width = film.shape
    for _ in range(int(random.integers(1, 5))):
        size = int(random.integers(max(9, height // 40), max(12, height // 16)))
        text = "".join(random.choice(_LETTERS, int(random.integers(2, 16))))
        strokes = _strokes(text, size, bool(random.integers(2)))
        strokes = strokes[:, : width - 4]
        room = zip(film.shape, strokes.shape, strict=True)
        top, left = (int(random.integers(2, max(3, most - own - 2))) for most, own in room)
        place = slice(top, top + strokes.shape[0]), slice(left, left + strokes.shape[1])
        strokes = strokes[: out[place].shape[0]]
        if near[place].any():
            continue
        tone = 255 if random.random() < 0.8 else 0
        if random.random() < 0.3:
            out[place] = 255 - tone
        part = out[place].astype(np.float32)
        out[place] = (part + (tone - part) * strokes).astype(np.uint8)
        # Ink that nobody can see is none: white letters on a white ground.
        ink[place] |= (strokes > 0.5) & (np.abs(tone - part) > 80)
        pad = size // 2
        lower, right = top + strokes.shape[0] + pad, left + strokes.shape[1] + pad
        near[max(0, top - pad) : lower, max(0, left - pad) : right] = True
    return Lettered(out, ink, near)


def _strokes(text: str, size: int, outlined: bool) -> npt.NDArray[np.float32]:
    """How much of every pixel letters take, 0..1."""
    if outlined:
        font = ImageFont.load_default(size)
        box = font.getbbox(text)
        sheet = Image.new("L", (int(box[2]) + 4, int(box[3]) + 4))
        ImageDraw.Draw(sheet).text((2, 2), text, fill=255, font=font)
        return np.asarray(np.asarray(sheet) / 255, np.float32)
    scale = size / 22
    face, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(scale * 2))
    (width, high), below = cv2.getTextSize(text, face, scale, thick)
    drawn = np.zeros((high + below + 4, width + 4), np.uint8)
    cv2.putText(drawn, text, (2, high + 2), face, scale, 255, thick, cv2.LINE_AA)
    return np.asarray(drawn / 255, np.float32)


def measure(films: int, seed: int) -> tuple[float, float, float]:
    """The share of ink that is covered, of what is covered that is no text, and of bare films covered.

    Args:
        films: How many films are drawn.
        seed: The seed of all draws.

    Example::

        recall, beside, bare = measure(200, 0)
    """
    ink = found = masked = beside = 0
    bare = []
    for number in range(films):
        random = np.random.default_rng([seed, number])
        film = draw_film(random, height=int(random.choice(_HEIGHTS)))
        bare.append(find_text(film.astype(np.float32)).mean())
        made = letter(np.asarray(film, np.uint8), random)
        mask = find_text(made.film.astype(np.float32))
        ink += int(made.ink.sum())
        found += int((made.ink & mask).sum())
        masked += int(mask.sum())
        beside += int((mask & ~made.near).sum())
    return found / max(ink, 1), beside / max(masked, 1), float(np.mean(bare))


def burnt_in_text(
    films: Annotated[int, typer.Option("--films", help="How many films are drawn.", min=1)] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all draws.")] = 0,
) -> None:
    """Draw films with text, and measure how much of it is found.

    Example: python -m leakscan.research.burnt_in_text --films 200
    """
    recall, beside, bare = measure(films, seed)
    out = Output()
    out.say(f"{films} drawn films with one to four lines of text each, seed {seed}.")
    out.say(f"Of the ink {recall:.3f} is covered; of what is covered {beside:.3f} is no text.")
    out.say(f"Of films without text {bare:.4f} is covered.")


if __name__ == "__main__":
    run_command(burnt_in_text)
