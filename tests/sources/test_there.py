"""What is said of a path that leads to nothing, or that nobody lets us follow."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from leakscan.errors import SourceError
from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.sources.there import check_there


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "permission denied"), (errno.EIO, "input/output error")]
)
def test_a_path_behind_a_folder_that_may_not_be_entered_is_not_said_to_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    films = tmp_path / "ward" / "films"
    films.mkdir(parents=True)
    lstat = os.lstat

    def refused(path: str | os.PathLike[str], **how: object) -> os.stat_result:
        if Path(path) == films:
            raise OSError(number, os.strerror(number), str(path))
        return lstat(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "lstat", refused)
    for ask in (lambda: check_there([films]), lambda: open_source(films, DecodeOptions())):
        with pytest.raises(SourceError) as caught:
            ask()
        assert caught.value.message == f"{films} cannot be reached: {words}."
        assert "rights" in (caught.value.hint or "")


def test_a_path_that_leads_to_nothing_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        check_there([tmp_path / "films"])
