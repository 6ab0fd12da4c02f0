"""Is it the same acquisition? Two pictures, or two volumes, are aligned and then compared.

``keypoints`` and ``describe_volume`` do once per image what can be done once per image;
``check_pictures`` (``radiograph``) and ``check_volumes`` (``volume``) look at a pair.
"""

from __future__ import annotations

from dataclasses import dataclass

INVERSE_WORDS = {"rot90": "rot270", "rot270": "rot90"}
"""Words that change when the two images change places; every other word is its own inverse."""


@dataclass(frozen=True)
class CopyCheck:
    """What looking at one pair found.

    Attributes:
        same_image: whether the two show one and the same acquisition.
        correlation: normalised cross-correlation of the aligned images on their overlap, -1..1;
            NaN where no alignment was found worth measuring.
        inliers: keypoint matches that agree with the alignment; 0 where none were used.
        transform: what was done to the first to get the second, as words joined by ``+``
            (``hflip``, ``vflip``, ``rot90``, ``rot180``, ``rot270``, ``transpose``, ``antitranspose``,
            ``invert``, ``crop``, ``scale``, ``stretch``, ``rotate``, ``grey``; for volumes
            ``flip-x``..., ``permute``, ``moved``), turns being counter-clockwise; empty for none.
        overlap: share of the smaller image (in the aligned frame) that the other covers, 0..1; 0 for volumes
            that show two acquisitions.
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
