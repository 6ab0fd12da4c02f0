"""Every kind of file that people hand us meets its plain copy; what cannot be read is named truly."""

from __future__ import annotations

import importlib.util
import locale
from pathlib import Path
from typing import Any

import pytest

from leakscan.errors import ImageError
from leakscan.run.models import Models
from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode
from leakscan.types import Silent
from support.makers import save
from support.odd_files import ODD_FILES, OddFile, texture
from support.packed_files import NAMED_IN_OTHERS, NO_PICTURES, PACKED_FILES
from support.rare_files import NAMED_FILES, RARE_FILES, SURELY_NONE, embeddings
from support.spelt_files import PLAIN_NUMBERS, SPELT_FILES
from support.uncommon_files import UNCOMMON_FILES
from support.unmarked_files import SMOOTH_NUMBERS, UNMARKED_FILES

KINDS = (*ODD_FILES, *RARE_FILES, *UNCOMMON_FILES, *PACKED_FILES)
NAMED = (*NAMED_FILES, *NAMED_IN_OTHERS, *UNMARKED_FILES, *SPELT_FILES)
SEEDS = {odd.name: 100 + i for i, odd in enumerate(KINDS)}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Folders of all kinds against folders of their plain copies: the pairs, by the kind in A.

    Kinds that keep every pixel are found without a copy check, and the others with one.
    """
    import leakscan

    encoding = locale.getencoding()
    found: dict[str, list[dict[str, Any]]] = {odd.name: [] for odd in KINDS}
    for check_seconds in (0, 600):
        root = tmp_path_factory.mktemp("odd")
        for odd in (odd for odd in KINDS if (odd.relations == ("same_pixels",)) == (not check_seconds)):
            if not odd.needs or importlib.util.find_spec(odd.needs):
                odd.write(root / "A" / odd.name, texture(SEEDS[odd.name]))
            save(root / "B" / f"{odd.name}.png", texture(SEEDS[odd.name]))
        settings = leakscan.Settings.of(
            workers=0, kind="other_2d", cache=root / "cache", check_seconds=check_seconds
        )
        with pytest.MonkeyPatch.context() as without_encoders:
            without_encoders.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
            result = leakscan.compare(root / "A", root / "B", settings=settings)
        for pair in result.pairs.to_pylist():
            found[pair["path_a"].partition("/")[0]].append(pair)
        assert not result.summary["datasets"][0]["left_out"], result.summary["datasets"][0]["unread"]
    assert locale.getencoding() == encoding, "a reader changed the locale of the process"
    return found


@pytest.mark.parametrize("odd", KINDS, ids=lambda odd: odd.name)
def test_an_odd_file_meets_its_plain_copy(compared: dict[str, list[dict[str, Any]]], odd: OddFile) -> None:
    if odd.needs and not importlib.util.find_spec(odd.needs):
        pytest.skip(f"{odd.needs} is not installed.")
    right = {p["relation"] for p in compared[odd.name] if p["path_b"] == f"{odd.name}.png"}
    assert right and right <= set(odd.relations), compared[odd.name]
    others = [p for p in compared[odd.name] if p["path_b"] != f"{odd.name}.png"]
    assert not others


def test_what_holds_images_and_is_not_read_is_named_and_nothing_else_is(tmp_path: Path) -> None:
    for number, named in enumerate(NAMED):
        path = tmp_path / named.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(named.data(texture(900 + number)))
    none = {**SURELY_NONE, **NO_PICTURES, **SMOOTH_NUMBERS, **PLAIN_NUMBERS, "vectors.parquet": embeddings()}
    for name, data in none.items():
        (tmp_path / name).write_bytes(data)
    found = {}
    options = DecodeOptions()
    for ref in DirectorySource(tmp_path, "A", options).scan(Silent()):
        status, said = ref.status, ref.error
        if status == "ok":
            try:
                decode(ref, options)
            except ImageError as refused:
                status, said = refused.status, refused.sentence
        found[ref.path.removesuffix("/a.png").removesuffix("/xl/sharedStrings.xml")] = (status, said)
    for named in NAMED:
        status, said = found[named.path]
        assert status in ("unsupported", "unreadable") and named.said in said, (named.path, status, said)
    others = {path: row for path, row in found.items() if path not in {n.path for n in NAMED}}
    assert {status for status, _ in others.values()} == {"ignored"}, others


def test_every_file_of_a_few_bytes_is_a_row(tmp_path: Path) -> None:
    openings = [named.data(texture(900)) for named in NAMED] + [bytes(64), b"\xff" * 64]
    short = {opening[:count] for opening in openings for count in (1, 2, 3, 4, 5, 8, 12, 13, 17, 21)}
    for number, data in enumerate(sorted(short)):
        (tmp_path / f"f{number}").write_bytes(data)
    assert len(list(DirectorySource(tmp_path, "A", DecodeOptions()).scan(Silent()))) == len(short)
