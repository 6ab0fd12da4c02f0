"""The copy check: are two pictures, or two volumes, the same acquisition?

They are aligned, whatever was done to one of them, and then compared. ``describe_picture`` and
``describe_volume`` do once per image what can be done once per image; ``check_pictures`` and
``check_volumes`` compare two; ``copy_check.check_copies`` runs them over many pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

COPY_CHECK_VERSION = "copy-check-6"
"""Changes whenever a copy check may find something else, so that older findings are not used again."""

INVERSE_WORDS = {"rot90": "rot270", "rot270": "rot90"}
"""Words that change when the two images change places; every other word is its own inverse."""


@dataclass(frozen=True)
class CopyCheck:
    """What the copy check of one pair found.

    Attributes:
        same_image: Whether the two show one and the same acquisition.
        correlation: The normalised cross-correlation of the aligned images on their overlap, -1..1;
            NaN where no alignment was found worth measuring.
        inliers: The keypoint matches that agree with the alignment; 0 where none were used.
        transform: What was done to the first to get the second, as words joined by ``+``
            (``hflip``, ``vflip``, ``rot90``, ``rot180``, ``rot270``, ``transpose``, ``antitranspose``,
            ``invert``, ``crop``, ``scale``, ``stretch``, ``rotate``, ``grey``; for volumes
            ``flip-x``..., ``permute``, ``moved``), turns being counter-clockwise; empty for none.
        overlap: The share of the smaller image (in the aligned frame) that the other covers, 0..1; 0 for
            volumes that show two acquisitions.

    Example:
        >>> CopyCheck(True, 0.98, 120, "rot90+crop", 0.8).swapped().transform
        'rot270+crop'
    """

    same_image: bool
    correlation: float
    inliers: int
    transform: str
    overlap: float

    def swapped(self) -> CopyCheck:
        """The same finding with the two images in the other order."""
        words = [INVERSE_WORDS.get(word, word) for word in self.transform.split("+")]
        return CopyCheck(self.same_image, self.correlation, self.inliers, "+".join(words), self.overlap)


NOT_ALIGNED = CopyCheck(False, float("nan"), 0, "", 0.0)
"""The finding for a pair that could not be aligned."""
