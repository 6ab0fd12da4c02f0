"""What was done to a copy, in words for people."""

from __future__ import annotations

import re

_WORDS = {
    "hflip": "mirrored",
    "vflip": "flipped top to bottom",
    "rot90": "turned by 90°",
    "rot180": "turned by 180°",
    "rot270": "turned by 270°",
    "transpose": "mirrored along a diagonal",
    "antitranspose": "mirrored along the other diagonal",
    "invert": "made negative",
    "crop": "cropped",
    "scale": "resized",
    "stretch": "stretched",
    "rotate": "turned a little",
    "grey": "grey levels changed",
    "permute": "axes exchanged",
    "flip-x": "flipped left to right",
    "flip-y": "flipped back to front",
    "flip-z": "flipped feet to head",
    "moved": "moved",
}
SLICE = re.compile(r"slice-([xyz])-(\d+)")
FROM = {"x": "left", "y": "back", "z": "feet"}
"""From where slices across each axis are counted."""


def altered_words(transform: str | None) -> list[str]:
    """The words of the column ``transform``, each as a person would say it.

    Args:
        transform: What the column holds, such as ``hflip+crop``, or nothing.

    Example:
        >>> altered_words("hflip+crop"), altered_words("slice-z-30+invert"), altered_words(None)
        (['mirrored', 'cropped'], ['slice 30 from the feet', 'made negative'], [])
    """
    return [_one(word) for word in (transform or "").split("+") if word]


def _one(word: str) -> str:
    if found := SLICE.fullmatch(word):
        return f"slice {found[2]} from the {FROM[found[1]]}"
    return _WORDS.get(word, word)  # a later version may know more words than this one
