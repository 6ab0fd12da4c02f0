"""The second look at packed films, for calibrations that are fitted on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leakscan.decide.fit_look import Look
from leakscan.decide.second_look import look_of
from leakscan.engines.local import LocalEngine
from leakscan.fingerprint.encoders.film_look import FILE, FilmLook
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.training.pack import Pack
from leakscan.types import DecodeOptions, Progress


@dataclass(frozen=True)
class PackLooks:
    """A second look, and what it finds of the films that a calibration is fitted on.

    Attributes:
        looker: the look itself.
        calibration: at pairs of calibration films.
        validation: at pairs of validation films.
    """

    looker: FilmLook
    calibration: Look
    validation: Look


def look_at_packs(
    file: Path | None, calibration: Pack, validation: Pack, workers: int | None, progress: Progress
) -> PackLooks | None:
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
    looker = FilmLook(path)

    def look(pack: Pack) -> Look:
        assert len(pack.refs) == len(pack.films)
        return look_of(pack.refs, looker, LocalEngine(workers), DecodeOptions(), progress)

    return PackLooks(looker, look(calibration), look(validation))
