"""What a run needs of the model folders, loaded and checked before any image is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE as CALIBRATION_FILE
from leakscan.decide.calibration.file import read_calibration
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.encoder import Encoder
from leakscan.fingerprint.encoders.film.detail_matcher import FilmDetailMatcher, load_detail_matcher
from leakscan.fingerprint.encoders.load import load_encoder
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

    encoders: Mapping[Kind, Encoder]
    matchers: Mapping[str, FilmDetailMatcher]
    calibrations: Mapping[str, Calibration]

    @property
    def cards(self) -> dict[str, Card]:
        """The card of every encoder, by its name."""
        return {encoder.card.encoder: encoder.card for encoder in self.encoders.values()}

    @property
    def folds(self) -> dict[str, BrainEncoder]:
        """The encoders that compare the folds of brains, by name."""
        found = self.encoders.values()
        return {e.card.encoder: e for e in found if isinstance(e, BrainEncoder)}


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
    found = {encoder.card.encoder: load_detail_matcher(encoder.folder) for encoder in encoders.values()}
    matchers = {name: matcher for name, matcher in found.items() if matcher is not None}
    return Models(encoders, matchers, _calibrations(encoders, own, matchers))


def load_encoders(preferred: str | None) -> dict[Kind, Encoder]:
    """The encoder of every kind that has one, golden fingerprints checked.

    Example::

        load_encoders(None)["chest_radiograph"].card.dim
    """
    encoders: dict[Kind, Encoder] = {}
    for kind in KINDS:
        entry = card_for(kind, preferred)
        if entry is not None:
            encoders[kind] = load_encoder(*entry)
    return encoders


def _calibrations(
    encoders: Mapping[Kind, Encoder], own: Path | None, matchers: Mapping[str, FilmDetailMatcher]
) -> dict[str, Calibration]:
    found = {}
    for encoder in encoders.values():
        path = encoder.folder / CALIBRATION_FILE
        if path.is_file():
            found[encoder.card.encoder] = read_calibration(path, [encoder.card.encoder])
    if own is not None:
        calibration = read_calibration(own, [encoder.card.encoder for encoder in encoders.values()])
        found[calibration.encoder] = calibration
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
