"""Finds text that was burnt into a picture, by its edges, so that it can be covered where pictures are shown.

Letters are strokes: thin, as sharp as the pixels allow, of one tone, and in rows. Anatomy is blurred by the
beam and the detector, so that hardly any of its edges goes from dark to light within a pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_STEPS = ((0.22, 1), (0.09, 3))
"""Of the range of tones, across the edge of a stroke; and how many more letters must stand on its row."""

_STROKE_SHARE = 1 / 45  # the widest stroke, of the longer side
_LEAST_HEIGHT = 5  # pixels of a letter
_MOST_HEIGHT_SHARE = 1 / 11  # of the longer side
_SHARP, _SHARPER = 0.5, 0.8  # the share of the outline of a letter that is an edge within two pixels
_MOST_LETTERS = 3000
_PAD = 0.2  # around letters, of their height

Mask = npt.NDArray[np.bool_]


def find_text(values: npt.NDArray[np.float32]) -> Mask:
    """Where letters are burnt into a picture.

    Args:
        values: ``(height, width)``: the picture, in any range.

    Returns:
        ``(height, width)``: true in boxes around letters.

    Example:
        >>> film = np.zeros((200, 300), np.uint8)
        >>> _ = cv2.putText(film, "DOE JANE", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
        >>> found = find_text(film.astype(np.float32))
        >>> bool(found[film > 0].all()), bool(found[80:].any())
        (True, False)
    """
    low, high = float(values.min()), float(values.max())
    if values.ndim != 2 or high <= low:
        return np.zeros(values.shape, np.bool_)
    grey = np.rint((values - low) / (high - low) * 255).astype(np.uint8)
    found = np.zeros(values.shape, np.uint8)
    for tones in (grey, 255 - grey):
        for step, others in _STEPS:
            for left, top, width, height in _letters(tones, step, others):
                pad = max(2, round(_PAD * height))
                found[max(0, top - pad) : top + height + pad, max(0, left - pad) : left + width + pad] = 1
    return found.astype(np.bool_)


def covered(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The picture with its burnt-in text filled with the tone around it.

    Args:
        values: ``(height, width)``: the picture, in any range.

    Example:
        >>> film = np.full((120, 200), 50, np.uint8)
        >>> _ = cv2.putText(film, "DOE", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
        >>> float(covered(film.astype(np.float32)).max())
        50.0
    """
    mask = find_text(values)
    if not mask.any():
        return values
    out = values.copy()
    number, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for k in range(1, number):
        left, top, width, height = (int(n) for n in stats[k, :4])
        around = values[max(0, top - 3) : top + height + 3, max(0, left - 3) : left + width + 3]
        own = labels[max(0, top - 3) : top + height + 3, max(0, left - 3) : left + width + 3] == k
        rest = around[~own]
        out[labels == k] = np.median(rest) if rest.size else np.median(values)
    return out


def _letters(grey: npt.NDArray[np.uint8], least_step: float, others: int) -> list[tuple[int, int, int, int]]:
    """Boxes of light strokes that look like letters: left, top, width, height."""
    longer = max(grey.shape)
    stroke = max(3, round(longer * _STROKE_SHARE) | 1)
    opened = cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones((stroke, stroke), np.uint8))
    lit = cv2.subtract(grey, opened)
    step = round(255 * least_step)
    ink = (lit >= step).astype(np.uint8)
    # From one pixel to the second next: a letter's edge takes no longer.
    framed = cv2.copyMakeBorder(grey, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    across = (
        cv2.absdiff(framed[2:, 1:-1], framed[:-2, 1:-1]),
        cv2.absdiff(framed[1:-1, 2:], framed[1:-1, :-2]),
    )
    sharp = (np.maximum(*across) >= step).astype(np.uint8)
    number, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    inner = cv2.erode(ink, np.ones((3, 3), np.uint8))
    outline = (ink == 1) & (inner == 0)
    total = np.bincount(labels[outline], minlength=number)
    crisp = np.bincount(labels[outline & (sharp == 1)], minlength=number)
    left, top, width, height, area = (stats[:, i].astype(np.int64) for i in range(5))
    # Letters that hardly differ from their ground must be sharper, smaller, and each on its own.
    faint = others > 1
    most = longer * (_MOST_HEIGHT_SHARE / 2 if faint else _MOST_HEIGHT_SHARE * np.where(width > height, 3, 1))
    larger = np.maximum(height, width)
    fits = (larger >= _LEAST_HEIGHT) & (larger <= most) & (area >= 6)
    fits &= (crisp >= (_SHARPER if faint else _SHARP) * np.maximum(total, 1)) & (
        height <= longer * _MOST_HEIGHT_SHARE
    )
    fits &= (left > 0) & (top > 0) & (left + width < grey.shape[1]) & (top + height < grey.shape[0])
    at = np.flatnonzero(fits)
    if len(at) > _MOST_LETTERS:  # noise, or a woven ground: nothing there is text
        return []
    at = at[_in_rows(np.asarray(stats[at], np.int32), others)]
    return [(int(left[k]), int(top[k]), int(width[k]), int(height[k])) for k in at]


def _in_rows(boxes: npt.NDArray[np.int32], others: int) -> Mask:
    """Which of some boxes have so many others beside them, of about the same height and on the same row."""
    if len(boxes) == 0:
        return np.zeros(0, np.bool_)
    left, top, width, height = (boxes[:, i].astype(np.float64) for i in range(4))
    middle = top + height / 2
    taller = np.maximum(height[:, None], height[None])
    same_row = np.abs(middle[:, None] - middle[None]) <= 0.6 * taller
    gap = np.maximum(left[:, None], left[None]) - np.minimum((left + width)[:, None], (left + width)[None])
    near = same_row & (gap <= 1.5 * taller) & (np.minimum(height[:, None], height[None]) >= taller / 4)
    np.fill_diagonal(near, False)
    linked = near.copy()  # a row: letters that others link
    for _ in range(others - 1):
        linked |= (linked.astype(np.float32) @ near.astype(np.float32)) > 0
    np.fill_diagonal(linked, False)
    wide = (width >= 2.5 * height) & (others == 1)  # letters that touch are one box
    return np.asarray((linked.sum(1) >= others) | wide)
