"""A picture that stands within another: a film in the window of a viewer, a figure on a page.

In a small copy of a screenshot such a film is a few dozen pixels wide, and too little of it is left to know
it by. So it is found first, and described for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

_BEND = 8  # grey levels by which a place may bend (Laplacian) and still be even ground
_JOINED = np.ones((7, 7), np.uint8)  # even places that small within a picture belong to it
_THIN = np.ones((13, 13), np.uint8)  # lines of text, bars of buttons and frames are thinner
_LEAST_SIDE = 24  # pixels of what is described for itself
_MOST_AREA = 0.45  # of the whole, beyond which enough of it is left
_FILLED = 0.6  # of its rectangle

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Inset:
    """Where in a picture another one stands, in shares of height and width.

    Attributes:
        top: Where it begins, from above.
        left: Where it begins, from the left.
        bottom: Where it ends.
        right: Where it ends.
    """

    top: float
    left: float
    bottom: float
    right: float

    def of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The part of a picture of any size that it is.

        Example:
            >>> Inset(0.25, 0.25, 0.75, 0.5).of(np.zeros((8, 8), np.float32)).shape
            (4, 2)
        """
        height, width = values.shape
        rows = slice(round(self.top * height), max(round(self.bottom * height), round(self.top * height) + 1))
        columns = slice(
            round(self.left * width), max(round(self.right * width), round(self.left * width) + 1)
        )
        return values[rows, columns]


def find_inset(picture: Picture) -> Inset | None:
    """The largest picture that stands within another on even ground, if it takes up less than half of it.

    Args:
        picture: ``(height, width)``, of some 200 pixels.

    Example:
        >>> page = np.full((120, 160), 90, np.uint8)
        >>> page[30:80, 60:100] = np.random.default_rng(0).integers(0, 255, (50, 40))
        >>> found = find_inset(page)
        >>> round(found.top * 120), round(found.left * 160), find_inset(page[30:80, 60:100])
        (29, 59, None)
    """
    height, width = picture.shape
    # Slopes do not count: a desktop may run from light to dark.
    uneven = np.abs(cv2.Laplacian(picture, cv2.CV_16S, ksize=3)) > _BEND
    joined = cv2.morphologyEx(uneven.astype(np.uint8), cv2.MORPH_CLOSE, _JOINED)
    joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, _THIN)
    _, _, facts, _ = cv2.connectedComponentsWithStats(joined)
    left, top, wide, high, area = facts[1:].T
    fits = (np.minimum(wide, high) >= _LEAST_SIDE) & (wide * high <= _MOST_AREA * picture.size)
    fits &= area >= _FILLED * wide * high
    if not fits.any():
        return None
    left, top, wide, high, _ = facts[1 + int((area * fits).argmax())].tolist()
    return Inset(top / height, left / width, (top + high) / height, (left + wide) / width)
