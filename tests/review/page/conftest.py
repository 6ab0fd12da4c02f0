"""A run to review, made once; each test gets a copy of the tables and shares the images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leakscan.review.page.server import ReviewOptions, ReviewServer
from leakscan.settings import Settings
from support.makers import Picture
from support.review_page import Open, Reader
from support.review_run import films_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory, films: list[Picture]) -> Path:
    """The run of :func:`support.review_run.films_run`; nobody writes into it."""
    return films_run(tmp_path_factory.mktemp("review"), films)


@pytest.fixture
def run(made_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder; the images stay where they are."""
    shutil.copytree(made_run, tmp_path / "copy" / "run")
    return tmp_path / "copy" / "run"


@pytest.fixture
def open_review(run: Path, tmp_path: Path) -> Iterator[Open]:
    """Opens the run for review, without serving it yet."""
    opened: list[ReviewServer] = []

    def call(where: Path = run, hide_paths: bool = False, **options: Any) -> ReviewServer:
        options.setdefault("reviewer", "ann")
        settings = Settings.of(cache=tmp_path / "cache", hide_paths=hide_paths)
        opened.append(ReviewServer(where, ReviewOptions(**options), settings, say=lambda link: None))
        return opened[-1]

    yield call
    for server in opened:
        server.close()


@pytest.fixture
def reader(open_review: Open) -> Reader:
    """A browser on the run."""
    return Reader(open_review())
