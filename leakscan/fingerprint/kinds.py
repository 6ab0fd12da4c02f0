"""Which encoder an image is for: tags first, then what the user says, else the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from leakscan.types import KINDS, ImageRef, Kind, Tags

if TYPE_CHECKING:
    from leakscan.fingerprint.encoders.card import Card

_PROJECTION = {"CR", "DX", "DR", "RF", "XR"}
_FRONTAL = {"PA", "AP", "AP SUPINE", "AP ERECT", "PA ERECT", "AP AXIAL"}
_CHEST = {"CHEST", "THORAX", "LUNG", "CHEST_TO_ABDOMEN"}
_BRAIN = {"BRAIN", "HEAD", "SKULL"}
REFUSED: dict[Kind, Kind] = {"chest_radiograph": "other_2d", "brain_mri": "other_3d"}
"""What an image is whose gate refused it."""


def kind_from_tags(tags: Tags, ndim: int) -> Kind | None:
    """What the header or manifest alone settles; ``None`` leaves it to the user and the gate.

    Args:
        tags: What is declared about the image.
        ndim: 2 for a picture, 3 for a volume.

    Example:
        >>> kind_from_tags(Tags(modality="DX", body_part="CHEST", view="PA"), 2)
        'chest_radiograph'
        >>> kind_from_tags(Tags(modality="MG"), 2)
        'other_2d'
    """
    if tags.kind in KINDS:
        return next(k for k in KINDS if k == tags.kind)
    if ndim == 3:
        if tags.modality in ("", "MR") and tags.body_part in _BRAIN:
            return "brain_mri"
        return "other_3d" if tags.modality not in ("", "MR") or tags.body_part else None
    if tags.modality and tags.modality not in _PROJECTION:
        return "other_2d"
    if tags.body_part and tags.body_part not in _CHEST:
        return "other_2d"
    if tags.view and tags.view not in _FRONTAL:
        return "other_2d"
    return "chest_radiograph" if tags.modality and tags.body_part and tags.view else None


def presumed_kind(ref: ImageRef, asked: Kind | None) -> tuple[Kind, bool]:
    """The kind to prepare an image for, and whether the gate still has to agree.

    Args:
        ref: The image.
        asked: The setting ``kind``; it applies to images of its own dimension that tags leave open.

    Example:
        >>> untagged = ImageRef(image_id="1", path="a.png", format="png", files=("/a.png",))
        >>> presumed_kind(untagged, asked=None)
        ('chest_radiograph', True)
        >>> presumed_kind(untagged, asked="other_2d")
        ('other_2d', False)
    """
    settled = kind_from_tags(ref.tags, ref.ndim)
    if settled is not None:
        return settled, False
    if asked is not None and asked.endswith(("3d", "mri")) == (ref.ndim == 3):
        return asked, False
    return ("chest_radiograph", True) if ref.ndim == 2 else ("brain_mri", True)


@dataclass(frozen=True)
class Asked:
    """What one run wants to know of an image.

    Attributes:
        kind: What it is taken for.
        gated: Whether the encoder's gate still has to agree.
        encoder: The encoder that serves the kind; empty where there is none.
        by: The encoder and its gate; empty where there is none.
    """

    kind: Kind
    gated: bool
    encoder: str = ""
    by: str = ""

    @classmethod
    def of(cls, ref: ImageRef, asked: Kind | None, cards: Mapping[Kind, Card]) -> Asked:
        """What is asked of an image; a guess that no encoder here can confirm is none.

        Args:
            ref: The image.
            asked: The setting ``kind``.
            cards: The encoders at hand, by the kind that they serve.

        Example:
            >>> untagged = ImageRef(image_id="1", path="a.png", format="png", files=("/a.png",))
            >>> Asked.of(untagged, None, cards={}).kind
            'other_2d'
        """
        kind, gated = presumed_kind(ref, asked)
        if kind in cards:
            card = cards[kind]
            return _asked(kind, gated, card.encoder, card.judged_by)
        return _asked(REFUSED[kind], False) if gated else _asked(kind, gated)

    def takes(self, gate: bool | None) -> bool:
        """Whether a fingerprint counts, by what the gate said; ``None`` where there is no fingerprint."""
        return bool(self.by) and gate is not None and (gate or not self.gated)

    def kind_of(self, status: str, gate: bool | None) -> Kind | None:
        """What the image is in the tables, ``None`` where it could not be read."""
        if status not in ("ok", "blank"):
            return None
        refused = status == "blank" or (bool(self.by) and gate is not None and not self.takes(gate))
        return REFUSED.get(self.kind, self.kind) if refused else self.kind


@cache
def _asked(kind: Kind, gated: bool, encoder: str = "", by: str = "") -> Asked:
    """One object for all images of which the same is asked: there may be a million."""
    return Asked(kind, gated, encoder, by)
