"""A long run says at once which images are the same files, and never more than it has seen."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from leakscan.run import copies_so_far as module
from leakscan.run import estimate
from leakscan.run.compare import compare
from leakscan.run.copies_so_far import copies_so_far
from leakscan.settings import DecodeOptions, Settings
from leakscan.sources.open import open_source
from leakscan.types import ImageRef, Silent
from support.makers import fill


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("A"), list(range(5)))
    fill(Path("B"), [10, 11])
    for number, path in enumerate(sorted(Path("A").iterdir())[:3]):
        shutil.copy(path, Path("B") / f"renamed-{number}{path.suffix}")


def scanned(name: str) -> list[ImageRef]:
    return list(open_source(name, DecodeOptions()).scan(Silent()))


@pytest.mark.usefixtures("folders")
def test_the_same_files_are_counted_whatever_their_names() -> None:
    (said,) = copies_so_far({"A": scanned("A"), "B": scanned("B")}, Silent())
    assert said.startswith("Copies so far: 3 images of B are in A as the same file. ")


@pytest.mark.usefixtures("folders")
def test_files_that_differ_in_the_middle_are_no_copies() -> None:
    for folder, middle in (("A", b"x"), ("B", b"y")):
        (Path(folder) / "long.dcm").write_bytes(b"\0" * 6000 + middle * 6000 + b"\0" * 6000)
    refs = {name: [ref_of(Path(name) / "long.dcm")] for name in ("A", "B")}
    assert copies_so_far(refs, Silent()) == []


def ref_of(path: Path) -> ImageRef:
    from leakscan.sources.contents import mark_of

    place = str(path.absolute())
    return ImageRef(image_id="1", path=path.name, format="dicom", files=(place,), signature=mark_of(place))


@pytest.mark.usefixtures("folders")
def test_what_the_time_did_not_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 30.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    (said,) = copies_so_far({"A": scanned("A"), "B": scanned("B")}, Silent())
    assert said.startswith("Copies so far: at least 2 images of B are in A as the same file (so far as 20 s")


@pytest.mark.usefixtures("folders")
def test_datasets_that_were_compared_before_are_not_told_again() -> None:
    refs = {"A": scanned("A"), "B": scanned("B")}
    assert copies_so_far(refs, Silent(), ["A", "B"]) == []
    assert len(copies_so_far(refs, Silent(), ["A"])) == 1


@pytest.mark.usefixtures("folders")
def test_a_long_run_says_it_before_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Silent):
        said: list[str] = []  # noqa: RUF012

        def start(self, stage: str, total: int | None) -> None:
            self.said.append(stage)

        def tell(self, text: str) -> None:
            self.said.append(text)

    monkeypatch.setattr(estimate, "LONG", 5)
    compare("A", "B", settings=Settings.of(workers=0), progress=Told())
    (said,) = (text for text in Told.said if text.startswith("Copies so far: 3 images"))
    assert Told.said.index(said) < Told.said.index("Reading A")
