"""The second look at packed films, for calibrations that are fitted on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leakscan.decide.calibration.fit_detail import Look
from leakscan.decide.persons.detail_matches import detail_match_of
from leakscan.engines import start_engine
from leakscan.fingerprint.encoders.film.detail_matcher import FILE, FilmDetailMatcher
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.training.films.pack import Pack
from leakscan.types import DecodeOptions, Progress


@dataclass(frozen=True)
class PackMatches:
    """A second look, and what it finds of the films that a calibration is fitted on.

    Attributes:
        matcher: the look itself.
        calibration: at pairs of calibration films.
        validation: at pairs of validation films.
    """

    matcher: FilmDetailMatcher
    calibration: Look
    validation: Look


def match_packs(
    file: Path | None, calibration: Pack, validation: Pack, workers: int | None, progress: Progress
) -> PackMatches | None:
    """Looks again at pairs of packed films, as a run does: from their files.

    Args:
        file: of the look; ``None`` takes that of the installed encoder for chest films.
        calibration: with the files of its films.
        validation: likewise.
        workers: processes that decode.
        progress: is told.

    Returns:
        ``None`` where the installed encoder has no look.

    Raises:
        ModelError: the look is damaged.
    """
    entry = card_for("chest_radiograph", None)
    path = file or (entry[1] / FILE if entry is not None else None)
    if path is None or (file is None and not path.is_file()):
        return None
    matcher = FilmDetailMatcher(path)

    def look(pack: Pack) -> Look:
        assert len(pack.refs) == len(pack.films)
        return detail_match_of(pack.refs, matcher, start_engine(workers), DecodeOptions(), progress)

    return PackMatches(matcher, look(calibration), look(validation))
