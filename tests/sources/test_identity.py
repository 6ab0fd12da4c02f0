"""Identifiers leave the process as keyed hashes only, and those that name nobody not at all."""

from __future__ import annotations

import multiprocessing
import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.errors import OutputError, StoreError
from leakscan.sources.identity import IdentityKey, drop_placeholders, dropped_words, is_placeholder


def test_the_key_is_made_at_first_use_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "identity.key"
    key = IdentityKey(path)
    assert not path.exists(), "nothing is written before it is needed"
    key.hash("P1")
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["identity.key"], "no draft is left behind"


def test_one_key_gives_one_hash_and_another_key_another(tmp_path: Path) -> None:
    first, again, other = (IdentityKey(tmp_path / n) for n in ("a", "a", "b"))
    assert first.hash("P1") == again.hash("P1") == pickle.loads(pickle.dumps(first)).hash("P1")
    assert first.hash("P1") != other.hash("P1")
    assert first.key_id == again.key_id != other.key_id
    assert len(first.hash("P1")) == 32 and len(first.key_id) == 8


def test_a_hash_shows_neither_identifier_nor_key(tmp_path: Path) -> None:
    key = IdentityKey(tmp_path / "k")
    assert key.hash("P1") != key.hash("P2")
    secret = (tmp_path / "k").read_bytes()
    assert secret.hex() not in repr(key) + key.key_id
    assert "P1" not in key.hash("P1")


@pytest.mark.parametrize("written", ["abc 7", " ABC 7 ", "Abc 7\0", "\tabc 7\n"])
def test_case_and_padding_do_not_change_a_hash(tmp_path: Path, written: str) -> None:
    key = IdentityKey(tmp_path / "k")
    assert key.hash(written) == key.hash("abc 7")


def test_an_empty_identifier_stays_empty(tmp_path: Path) -> None:
    assert IdentityKey(tmp_path / "k").hash("  ") == ""


def test_a_damaged_key_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        IdentityKey(path).hash("P1")
    assert path.read_bytes() == b"short"


def test_a_key_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((OutputError, StoreError), match="identity key"):
        IdentityKey(tmp_path / "file" / "k").hash("P1")


def _key_id(path: Path) -> str:
    return IdentityKey(path).key_id


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_key_id, [tmp_path / "k"] * 16, chunksize=1))) == 1


PLACEHOLDERS = """? -- ANON Anonymous anonymous^patient unknown N/A n.a. None NULL"""


@pytest.mark.parametrize("text", ["", " ", "ANONYMOUS PATIENT", "No Name", *PLACEHOLDERS.split()])
def test_placeholders_are_known_in_any_dress(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "111",
        "A",
        "B",
        "0",
        "XXXX",
        "123456",
        "test",
        "2",
        "11",
        "22",
        "01",
        "P1",
        "00012345",
        "sub-01",
        "anon17",
        "patient00123",
        "Ann",
    ],
)
def test_identifiers_are_no_placeholders(text: str) -> None:
    assert not is_placeholder(text)


def test_placeholders_are_emptied_and_the_order_is_kept() -> None:
    assert drop_placeholders(["a1", "ANON", "", "b2"]) == ["a1", "", "", "b2"]


@pytest.mark.parametrize("text", ["0", "000", "XXXX", "123456", "test"])
def test_what_may_be_a_placeholder_is_one_where_it_stands_on_most_of_a_source(text: str) -> None:
    assert drop_placeholders([text, text, "p1"]) == ["", "", "p1"]
    assert drop_placeholders([text, "p1", "p2"]) == [text, "p1", "p2"]
    assert "2 of 3 images of ward" in dropped_words([text, text, "p1"], ["", "", "p1"], "ward")


@pytest.mark.parametrize(
    "one, other", [("00000013", "13"), ("'0013", "13"), ("13.0", "13"), ("１３", "13"), ("\ufeffp1", "P1")]
)
def test_spellings_of_one_identifier_are_one(tmp_path: Path, one: str, other: str) -> None:
    key = IdentityKey(tmp_path / "k")
    assert key.hash(one) == key.hash(other)


@pytest.mark.parametrize("one, other", [("p013", "p13"), ("1.5", "15"), ("10", "1"), ("0", "")])
def test_other_identifiers_stay_apart(tmp_path: Path, one: str, other: str) -> None:
    key = IdentityKey(tmp_path / "k")
    assert key.hash(one) != key.hash(other)


def test_an_identifier_on_most_of_a_source_is_dropped() -> None:
    others = [f"p{i}" for i in range(9)]
    assert drop_placeholders(["SITE7"] * 15 + others) == [""] * 15 + others
    assert drop_placeholders(["SITE7"] * 25) == [""] * 25


@pytest.mark.parametrize(
    "subjects",
    [
        ["a1"] * 19,
        ["a1"] * 30 + ["b2"] * 20,
        ["a1"] * 40 + ["b2"] * 10 + ["c3"] * 12,
        [f"p{i}" for i in range(15)] + ["q9"] * 14,
    ],
)
def test_subjects_with_many_images_stay(subjects: list[str]) -> None:
    assert drop_placeholders(subjects) == subjects


@given(st.lists(st.text(max_size=6), max_size=40))
def test_dropping_only_ever_empties(subjects: list[str]) -> None:
    kept = drop_placeholders(subjects)
    assert len(kept) == len(subjects)
    assert all(k in ("", s) for k, s in zip(kept, subjects, strict=True))
