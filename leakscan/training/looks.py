"""The second look at packed films, for calibrations that are fitted on them."""

from __future__ import annotations

from leakscan.decide.fit_look import Look
from leakscan.decide.second_look import look_of
from leakscan.engines.local import LocalEngine
from leakscan.training.pack import Pack
from leakscan.types import DecodeOptions, Progress


def look_at_pack(pack: Pack, workers: int | None, progress: Progress) -> Look:
    """Looks at the anatomy of pairs of packed films, at the resolution that their files have.

    Args:
        pack: with the files of its films.
        workers: processes that decode and look.
        progress: is told.
    """
    assert len(pack.refs) == len(pack.films)
    return look_of(pack.refs, LocalEngine(workers), DecodeOptions(), progress)
