"""Detail matches of packed films, for calibrations that are fitted on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.persons.detail_matches import detail_match_of
from leakscan.engines import start_engine
from leakscan.fingerprint.encoders.film.detail_matcher import FILE, FilmDetailMatcher
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.settings import DecodeOptions
from leakscan.training.films.pack import Pack
from leakscan.types import Progress


@dataclass(frozen=True)
class PackMatches:
    """Detail matching, and what it finds of the films that a calibration is fitted on.

    Attributes:
        matcher: The network that matches details.
        match: Matches pairs of films, those of calibration first and those of validation after them.
    """

    matcher: FilmDetailMatcher
    match: MatchPairs


def match_packs(
    file: Path | None, calibration: Pack, validation: Pack, workers: int | None, progress: Progress
) -> PackMatches | None:
    """Matches the details of pairs of packed films, as a run does: from their files.

    Args:
        file: The file of the network; ``None`` takes that of the installed encoder for chest films.
        calibration: The calibration films, with the files they were read from.
        validation: The validation films, with theirs.
        workers: Processes that decode.
        progress: Receives how far the work is.

    Returns:
        ``None`` where the installed encoder has no such network.

    Raises:
        ModelError: The file is damaged.

    Example::

        calibration = pack_manifest(Path("films.csv"), {"calibration"}, side=192)
        validation = pack_manifest(Path("films.csv"), {"val"}, side=192)
        matches = match_packs(Path("detail.safetensors"), calibration, validation, None, Silent())
    """
    entry = card_for("chest_radiograph", None)
    path = file or (entry[1] / FILE if entry is not None else None)
    if path is None or (file is None and not path.is_file()):
        return None
    matcher = FilmDetailMatcher(path)

    refs = (*calibration.refs, *validation.refs)
    assert len(refs) == len(calibration.films) + len(validation.films)
    match = detail_match_of(refs, matcher, start_engine(workers), DecodeOptions(), progress)
    return PackMatches(matcher, match)
