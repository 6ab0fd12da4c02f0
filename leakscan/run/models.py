"""What a run needs of the model folders. A network is loaded and checked before its first image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import read_calibration
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.card import BRAIN_NET, Card
from leakscan.fingerprint.encoders.film.detail_matcher import FILE as DETAIL_FILE
from leakscan.fingerprint.encoders.film.detail_matcher import DeferredMatcher
from leakscan.fingerprint.encoders.load import DeferredEncoder, load_encoder
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.types import KINDS, Kind


@dataclass(frozen=True)
class Models:
    """Encoders and what belongs to them.

    Attributes:
        encoders: The encoders, by the kind of image that they serve.
        matchers: The detail matchers of films, by encoder (``name@digest``).
        calibrations: The calibrations, by encoder.
    """

    encoders: Mapping[Kind, DeferredEncoder]
    matchers: Mapping[str, DeferredMatcher]
    calibrations: Mapping[str, Calibration]

    @property
    def cards(self) -> dict[str, Card]:
        """The card of every encoder, by its name."""
        return {encoder.card.encoder: encoder.card for encoder in self.encoders.values()}

    @property
    def folds(self) -> dict[str, DeferredEncoder]:
        """The encoders that compare the folds of brains, by name."""
        found = self.encoders.values()
        return {e.card.encoder: e for e in found if e.card.architecture == BRAIN_NET}


def load_models(preferred: str | None, own: Path | None) -> Models:
    """The encoder of every kind that has one, with its detail matcher and calibration.

    Args:
        preferred: The name of an encoder that goes before others of its kind.
        own: A user's calibration, which must belong to one of the encoders.

    Raises:
        ModelError: A file is damaged, a calibration was made with another detail matcher, or the user's
            file belongs to none of the encoders.

    Example::

        models = load_models(preferred="cxr-resnet50", own=None)
        print(*models.cards)  # the encoder of every kind, as name@digest
    """
    encoders = load_encoders(preferred)
    matchers = {
        encoder.card.encoder: DeferredMatcher(encoder.folder / DETAIL_FILE)
        for encoder in encoders.values()
        if (encoder.folder / DETAIL_FILE).is_file()
    }
    return Models(encoders, matchers, _calibrations(encoders, own, matchers))


def load_encoders(preferred: str | None) -> dict[Kind, DeferredEncoder]:
    """The encoder of every kind that has one; it is loaded when the first image of its kind is at hand.

    Example::

        load_encoders(None)["chest_radiograph"].card.dim
    """
    encoders: dict[Kind, DeferredEncoder] = {}
    for kind in KINDS:
        entry = card_for(kind, preferred)
        if entry is not None:
            encoders[kind] = DeferredEncoder(*entry, load_encoder)
    return encoders


def _calibrations(
    encoders: Mapping[Kind, DeferredEncoder], own: Path | None, matchers: Mapping[str, DeferredMatcher]
) -> dict[str, Calibration]:
    found = {}
    for encoder in encoders.values():
        path = encoder.folder / CALIBRATION_FILE
        if path.is_file():
            found[encoder.card.encoder] = read_calibration(path, [encoder.card.encoder])
    if own is not None:
        calibration = read_calibration(own, [encoder.card.encoder for encoder in encoders.values()])
        found[calibration.encoder] = calibration
    for encoder in encoders.values():
        card = encoder.card
        of_card = found.get(card.encoder)
        if of_card is not None and of_card.cohort.shape[1] != card.dim:
            raise ModelError(
                f"The calibration from {of_card.source} is of fingerprints of {of_card.cohort.shape[1]:,} "
                f"numbers, but those of {card.name} have {card.dim:,}.",
                "Calibrate again, or add the model again.",
                code="calibration_of_another_detail",
            )
    for name, calibration in found.items():
        have = matchers[name].digest if name in matchers else "none"
        if calibration.matches_details and calibration.detail_digest != have:
            raise ModelError(
                f"The calibration from {calibration.source} was made with the detail match "
                f"{calibration.detail_digest or 'of an earlier leakscan'}, but {name} comes with {have}.",
                "Calibrate again, or add the model again.",
                code="calibration_of_another_detail",
            )
    return found
