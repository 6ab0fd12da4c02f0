"""Whatever stands for a path is taken for one: text, Path, and anything else with ``__fspath__``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import leakscan
from support.makers import fill


class Anything:
    """An object that only says which path it stands for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.parametrize("as_given", [str, Path, Anything])
def test_every_path_may_be_text_or_stand_for_a_path(
    tmp_path: Path, as_given: Callable[[Path], str | os.PathLike[str]]
) -> None:
    fill(tmp_path / "a", range(2))
    fill(tmp_path / "b", range(1, 3), compress_level=1)
    (tmp_path / "leakscan.toml").write_text("limits.workers = 0")
    settings = leakscan.Settings.read(as_given(tmp_path / "leakscan.toml")).with_choices(
        {"cache": as_given(tmp_path / "cache"), "key": as_given(tmp_path / "k"), "kind": "other_2d"}
    )
    assert settings.limits.cache == tmp_path / "cache"
    gone = as_given(tmp_path / "gone.csv")
    for listed in (gone, [gone], (gone,)):
        lists = leakscan.Settings.of(exclude_list=listed).reading.exclude_list
        assert lists == (tmp_path / "gone.csv",)
    result = leakscan.compare(
        as_given(tmp_path / "a"),
        as_given(tmp_path / "b"),
        output=as_given(tmp_path / "run"),
        settings=settings,
    )
    assert result.pairs.num_rows == 1 and (tmp_path / "k").is_file()
    assert (tmp_path / "run" / "summary.json").is_file()
