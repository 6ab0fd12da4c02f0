"""What the user typed is taken apart once, and what it is called stays what it was."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.errors import SourceError
from leakscan.run.places import cache_name, dataset_names
from leakscan.sources.spec import SourceSpec

TEXT = st.text(min_size=1, max_size=8)
PATHS = st.text(string.ascii_letters + "/.?~ \udcff-é", min_size=1, max_size=12)
QUERIES = st.sampled_from(["", "?split=test", "?split=a%20b&site=c/d", "?a=b?c", "?x=%C3%A9"])

CACHED = {
    "/data/hospital a": "hospital-a-404669520930.fps",
    "/data/films.csv?split=test": "films-csv-0be8856fbf7d.fps",
    "/data/films.csv?site=St.+Mary&split=a/b": "films-csv-9ea59a47d9ef.fps",
    "/data/what?/films.csv": "what-ed55a116be5f.fps",
    "/data/R\xf6ntgen": "R\xf6ntgen-5e2bd03fdaa9.fps",
    "/data/f\udce9.csv?split=x": "f--csv-70b91d2b74d1.fps",
    "/": "-f1e8c8c01215.fps",
}
"""Names that the code gave before there was a SourceSpec, for a key with the id 0011aabb."""


@given(
    st.dictionaries(TEXT, TEXT, min_size=1, max_size=3), st.sampled_from(["m.csv", "a/b.parquet", "M.CSV"])
)
def test_filters_that_are_written_are_read_again(filters: dict[str, str], path: str) -> None:
    spec = SourceSpec.parse(path)
    for column, value in filters.items():
        spec = spec.with_filter(column, value)
    assert spec.filters == tuple(filters.items())
    assert SourceSpec.parse(str(spec)) == spec
    assert spec.path == Path(path)


@given(PATHS, QUERIES)
def test_the_identity_is_the_text_with_its_path_made_absolute(path: str, query: str) -> None:
    """Names of cached stores hash it: one that changes orphans every cache."""
    before, mark, after = f"{path}.csv{query}".partition("?")
    spec = SourceSpec.parse(f"{path}.csv{query}")
    home = Path(before).parts[:1] == ("~",)
    start = Path(before).expanduser() if home or not before.startswith("~") else Path(before)
    assert spec.resolved == str(start.resolve()) + mark + after
    assert spec.parts[-1].endswith(mark + after)


@given(st.lists(PATHS, min_size=2, max_size=4, unique_by=lambda p: SourceSpec.parse(p).resolved))
def test_sources_are_told_apart(paths: list[str]) -> None:
    specs = [SourceSpec.parse(path) for path in paths]
    assert len({cache_name(spec, "k") for spec in specs}) == len(specs)
    assert len(set(dataset_names(specs))) == len(specs)


def test_cached_stores_keep_their_names() -> None:
    names = {text: cache_name(SourceSpec.parse(text), "0011aabb") for text in CACHED}
    assert names == CACHED


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("films.csv", "manifest"),
        ("films.csv?split=test", "manifest"),
        ("FILMS.Parquet", "manifest"),
        ("folder", "folder"),
        ("folder.csv", "folder"),
        ("kept.fps", "store"),
        ("a.png", "file"),
        ("what?.csv", "manifest"),
        ("nowhere", "missing"),
        ("dangling", "folder"),
    ],
)
def test_the_form_is_what_lies_there(tmp_path: Path, text: str, form: str) -> None:
    for name in ("films.csv", "FILMS.Parquet", "a.png", "what?.csv"):
        (tmp_path / name).touch()
    for name in ("folder", "folder.csv", "kept.fps"):
        (tmp_path / name).mkdir()
    (tmp_path / "kept.fps" / "store.json").touch()
    (tmp_path / "dangling").symlink_to("gone")
    assert SourceSpec.parse(f"{tmp_path}/{text}").form == form


def test_paths_and_text_mean_the_same(tmp_path: Path) -> None:
    assert SourceSpec.parse(tmp_path / "m.csv") == SourceSpec.parse(str(tmp_path / "m.csv"))
    assert SourceSpec.parse("~/films").path == Path.home() / "films"
    assert SourceSpec.parse("~nobody-of-this-name/films").path == Path("~nobody-of-this-name/films")


@pytest.mark.parametrize("query", ["split", "split=a&split=b", "", "=&"])
def test_a_selection_that_is_none_is_an_error(query: str) -> None:
    with pytest.raises(SourceError, match="not understood"):
        SourceSpec.parse(f"films.csv?{query}")


def test_names_that_are_no_unicode_are_told_apart(tmp_path: Path) -> None:
    odd = os.fsdecode(b"f\xe9.csv")
    specs = [SourceSpec.parse(text) for text in (f"{odd}?split=a", f"{odd}?split=b")]
    assert dataset_names(specs) == ["f\\xe9.csv?split=a", "f\\xe9.csv?split=b"]
