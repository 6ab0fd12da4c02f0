"""What a run will take is said before it starts, from a few of its images, and nothing is written for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.run import estimate as module
from leakscan.run.compare import compare
from leakscan.run.estimate import estimate
from leakscan.settings import Settings
from leakscan.types import Silent
from support.makers import Leakscan, fill

SETTINGS = Settings.of(workers=0)


class Told(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def tell(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("A"), list(range(12)))
    fill(Path("B"), list(range(10, 16)))


@pytest.mark.usefixtures("folders")
def test_an_estimate_counts_what_is_to_be_read_and_writes_nothing() -> None:
    found = estimate("A", "B", settings=SETTINGS)
    assert (found.images, found.to_read, found.volumes, found.sampled) == (18, 18, 0, 18)
    assert found.reading_seconds > 0
    assert found.memory_mb > 100
    assert found.disk_mb >= 1
    assert found.sentence.startswith("18 of 18 images to read: about ")
    assert sorted(path.name for path in Path().iterdir()) == ["A", "B"]


@pytest.mark.usefixtures("folders")
def test_what_stands_in_the_cache_or_in_a_store_is_not_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    compare("A", "B", settings=SETTINGS)
    fill(Path("B"), [40])
    found = estimate("A", "B", settings=SETTINGS)
    assert (found.images, found.to_read, found.sampled) == (19, 1, 1)


@pytest.mark.usefixtures("folders")
def test_only_some_images_are_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 4)
    assert estimate("A", "B", settings=SETTINGS).sampled == 4


@pytest.mark.usefixtures("folders")
def test_a_long_run_begins_with_it_and_a_short_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = Told(), Told()
    compare("A", "B", settings=SETTINGS, progress=short)
    monkeypatch.setattr(module, "LONG", 18)
    result = compare("A", "B", settings=SETTINGS.with_choices({"cache": Path("other")}), progress=long)
    assert short.said == []
    assert long.said[0].startswith("18 of 18 images to read")
    assert result.summary["timings"]["images_read"] == 18


def test_dry_run_stops_before_the_run(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [2, 3])
    for command in (
        ("compare", "A", "B", "-o", "run"),
        ("duplicates", "A"),
        ("fingerprint", "A", "-o", "a.fps"),
    ):
        ran = leakscan(*command, "--dry-run")
        assert ran.code == 0
        assert "to read" in ran.out
    assert leakscan("compare", "A", "no-such", "--dry-run").code == 2
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "a.fps").exists()
