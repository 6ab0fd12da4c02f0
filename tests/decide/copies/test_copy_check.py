"""Copy checks of many pairs: in order, within the time, each once, and kept as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies import copy_check as module
from leakscan.decide.copies.copy_check import PixelPair, check_copies
from leakscan.decide.copies.describing import Pixels, load_pixels
from leakscan.decide.copies.volume_features import describe_volume
from leakscan.engines.local import LocalEngine
from leakscan.errors import ImageError
from leakscan.run.context import TimeBudget
from leakscan.run.memory import PairMemory
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import nifti
from leakscan.sources.open import open_source
from leakscan.types import Silent
from support.drawn_subjects import film
from support.made_up_run import made_up_run
from support.makers import save

FILMS = 5


@pytest.fixture(scope="module")
def previews(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Five films of five subjects, then the same mirrored."""
    folder = tmp_path_factory.mktemp("films")
    drawn = [film(2000 + i, side=200).astype(np.uint8) for i in range(FILMS)]
    pictures = [*drawn, *(picture[:, ::-1] for picture in drawn)]
    return [save(folder / f"{i}.png", picture).read_bytes() for i, picture in enumerate(pictures)]


def pair(previews: list[bytes], i: int, j: int) -> PixelPair:
    """Film i, and film j mirrored."""
    return PixelPair(
        key_a=f"A/{i}",
        key_b=f"B/{j}",
        picture_a=f"film {i}",
        picture_b=f"mirrored {j}",
        a=previews[i],
        b=previews[FILMS + j],
        ndim=2,
    )


@pytest.fixture
def pairs(previews: list[bytes]) -> list[PixelPair]:
    return [pair(previews, i, j) for i in range(FILMS) for j in range(FILMS)]


class Counting(LocalEngine):
    """Counts what it is asked to do; stops, where it should, after so many pairs of features."""

    def __init__(self, most: float = np.inf) -> None:
        super().__init__(0)
        self.images = self.pairs = 0
        self._most = most

    def map(self, function: Any, items: Any, chunk: int = 8) -> Iterator[Any]:
        for result in super().map(function, items, chunk):
            if getattr(function, "__module__", "") == module.__name__:
                if self.pairs >= self._most:
                    raise KeyboardInterrupt
                self.pairs += 1
            else:
                self.images += 1
            yield result


def test_every_pair_gets_its_own_finding(pairs: list[PixelPair]) -> None:
    found = check_copies(pairs, made_up_run())
    same = [check is not None and check.same_image for check in found]
    assert same == [p.key_a[2:] == p.key_b[2:] for p in pairs]
    assert {check.transform for check in found if check is not None and check.same_image} == {"hflip"}


def test_every_image_is_described_once_at_a_glance_and_only_likely_ones_in_full(
    pairs: list[PixelPair],
) -> None:
    engine = Counting()
    check_copies(pairs, made_up_run(engine=engine))
    assert 2 * FILMS < engine.images <= 2 * 2 * FILMS
    assert len(pairs) < engine.pairs < 2 * len(pairs)


def test_small_windows_find_the_same(pairs: list[PixelPair], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = check_copies(pairs, made_up_run())
    monkeypatch.setattr(module, "_WINDOW", {2: 4, 3: 4})
    monkeypatch.setattr(module, "_FEATURES_KEPT", 500_000)
    assert repr(check_copies(pairs, made_up_run())) == repr(whole)


def test_frames_of_a_file_are_read_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs go from file to file and back: 60 frames of two packed series were 120 times unpacked anew."""
    nib: Any = pytest.importorskip("nibabel")
    frames = 6
    voxels = np.random.default_rng(0).integers(0, 999, (2, 16, 16, 16, frames)).astype(np.int16)
    options = DecodeOptions()
    refs = []
    for name, series in zip("ab", voxels, strict=True):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(series, np.diag([9, 9, 9, 1])), tmp_path / name / "few.nii.gz")
        refs.append(list(open_source(tmp_path / name, options).scan(Silent())))
    opened, real = [0], nifti._ZIPPED._opens

    def counted(place: Any, way: str) -> Any:
        opened[0] += 1
        return real(place, way)

    monkeypatch.setattr(nifti._ZIPPED, "_opens", counted)
    monkeypatch.setattr(module, "_WINDOW", {2: 9, 3: 99})
    couples = [(i, frames - 1 - i) for i in range(frames)]
    check_copies(
        [PixelPair(key_a=f"A/{i}", key_b=f"B/{j}", a=refs[0][i], b=refs[1][j], ndim=3) for i, j in couples],
        made_up_run(),
    )
    assert opened[0] == 2


def test_features_that_are_kept_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 volumes were kept, of 6 MB each where they show a whole body."""
    monkeypatch.setattr(module, "_FEATURES_KEPT", 2_500_000)
    volumes = {
        str(i): describe_volume(np.random.default_rng(i).random((60, 60, 60)), (4, 4, 4)) for i in range(4)
    }
    assert 500_000 < module._bytes_of(volumes["0"]) < 1_250_000
    kept: dict[str, Any] = {}
    for key, features in volumes.items():
        kept = dict(module._renewed(kept, [key], {key: features}))
    assert list(kept) == ["2", "3"]


def test_a_window_is_some_seconds_of_work(pairs: list[PixelPair]) -> None:
    """Images of 1,024 pairs were described before anything was kept: a kill cost all of that."""
    many = [replace(pairs[0], key_a=f"A/{i}", key_b=f"B/{i}", picture_a=f"a{i}") for i in range(200)]
    engine = Counting(most=1)
    with pytest.raises(KeyboardInterrupt):
        check_copies(many, made_up_run(engine=engine))
    assert engine.images <= 2 * 128


def test_what_an_earlier_run_found_is_not_checked_again(pairs: list[PixelPair], tmp_path: Path) -> None:
    path = tmp_path / "pairs.sqlite3"
    first = check_copies(pairs[:20], made_up_run(memory=PairMemory(path)))
    engine = Counting()
    turned = [
        replace(p, key_a=p.key_b, key_b=p.key_a, picture_a=p.picture_b, picture_b=p.picture_a, a=p.b, b=p.a)
        for p in pairs[:20]
    ]
    again = check_copies(turned, made_up_run(memory=PairMemory(path), engine=engine))
    assert engine.pairs == engine.images == 0
    assert repr(again) == repr([check and check.swapped() for check in first])
    assert all(check_copies(pairs, made_up_run(memory=PairMemory(path), engine=engine)))
    assert 0 < engine.pairs <= 2 * 5


def test_a_pair_without_pixels_is_known_if_it_was_checked_before(pairs: list[PixelPair]) -> None:
    context = made_up_run()
    known = check_copies(pairs[:1], context)
    blind = [replace(p, a=None) for p in pairs[:2]]
    assert check_copies(blind, context) == [*known, None]


def test_pairs_without_names_are_checked_and_not_remembered(pairs: list[PixelPair]) -> None:
    engine = Counting()
    context = made_up_run(engine=engine)
    nameless = replace(pairs[0], picture_a="")
    for _ in range(2):
        assert check_copies([nameless], context) != [None]
    assert engine.pairs >= 4


@pytest.mark.parametrize("pixels", [b"no picture", b"", None])
def test_what_cannot_be_read_is_not_checked_and_not_remembered(
    pairs: list[PixelPair], pixels: Pixels | None
) -> None:
    context = made_up_run()
    broken = replace(pairs[0], a=pixels)
    assert check_copies([broken], context) == [None]
    assert not context.memory.copy_checks([broken.pictures])


def test_pixels_that_are_not_at_hand_are_an_error_of_the_image() -> None:
    with pytest.raises(ImageError, match="not at hand"):
        load_pixels(None, DecodeOptions())


def test_without_time_nothing_is_checked_but_what_is_known_is_said(pairs: list[PixelPair]) -> None:
    context = made_up_run()
    known = check_copies(pairs[:3], context)
    late = made_up_run(memory=context.memory, budget=TimeBudget(-1.0))
    assert check_copies(pairs, late) == [*known, *[None] * (len(pairs) - 3)]


def test_an_interrupt_loses_nothing_that_was_found(pairs: list[PixelPair]) -> None:
    memory = PairMemory(None)
    with pytest.raises(KeyboardInterrupt):
        check_copies(pairs, made_up_run(memory=memory, engine=Counting(most=15)))
    found = memory.copy_checks([p.pictures for p in pairs])
    assert 8 <= len(found) <= 15  # a glance that cannot tell has found nothing
    assert not any(check.same_image for check in found.values())


def test_findings_are_kept_while_the_work_goes_on(
    pairs: list[PixelPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEEP_SECONDS", 0.0)
    batches: list[int] = []

    class Noting(PairMemory):
        def keep_copy_checks(self, found: Any) -> None:
            listed: list[tuple[str, str, CopyCheck]] = list(found)
            batches.append(len(listed))
            super().keep_copy_checks(listed)

    check_copies(pairs, made_up_run(memory=Noting(None)))
    assert max(batches) == 1
    assert sum(batches) == len(pairs)
