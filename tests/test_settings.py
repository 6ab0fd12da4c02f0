"""Settings: one tree, every default once, and a typo is named with what is near."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.errors import UsageError
from leakscan.settings import Settings, section_of
from support.makers import NO_ENCODER, Leakscan, fill


def test_a_name_finds_its_section_and_the_rest_keeps_its_default() -> None:
    settings = Settings.of(same_ids=True, frames="first", cache="x")
    assert settings.deciding.same_ids
    assert settings.reading.frames == "first"
    assert settings.limits.cache == Path("x")
    assert settings.with_choices({"same_ids": False, "frames": "all", "cache": ".leakscan"}) == Settings()


def test_settings_are_frozen_and_travel_to_workers() -> None:
    settings = Settings.of(exclude=("a",))
    with pytest.raises(ValueError, match="frozen"):
        settings.reading.exclude = ()  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings


@given(st.sampled_from(sorted(section_of())), st.integers(0, 30))
def test_a_typo_is_named_with_the_setting_that_is_nearest(name: str, at: int) -> None:
    at %= len(name)
    typo = name[:at] + name[at] * 2 + name[at + 1 :]
    with pytest.raises(UsageError, match=typo) as caught:
        Settings.of(**{typo: 1})
    assert f"Did you mean {name}?" in caught.value.hint


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"max_pairs": 0}, "max_pairs is 0; it must be at least 1"),
        ({"max_unread": 1.5}, "max_unread is 1.5; it must be a share"),
        ({"kind": "chest"}, "kind is chest; it must be one of chest_radiograph"),
        ({"fail_on": "all"}, "fail_on is all; it must be one of"),
        ({"check_seconds": "long"}, "check_seconds is long; it must be a number"),
        ({"workers": -1}, "workers is -1; it must be at least 0"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_setting(given_: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings.of(**given_)


def test_a_file_is_read_with_its_paths_as_seen_from_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "leakscan.toml"
    file.write_text('[limits]\ncache = "kept"\n[deciding]\nsame_ids = true\n')
    settings = Settings.read(file)
    assert settings.limits.cache == tmp_path / "kept"
    assert settings.deciding.same_ids
    assert settings.search == Settings().search


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("[limits]\nworker = 1\n", "'worker'", "Did you mean workers?"),
        ("[limit]\nworkers = 1\n", "'limit'", "Did you mean limits?"),
        ("[limits]\nworkers = -3\n", "workers is -3", ""),
        ("[limits\n", "no TOML file", ""),
        ("x = " + "[" * 5000, "no TOML file: maximum recursion", ""),
        ('limits.cache = "a\\u0000"', "NUL character", ""),
        ("workers = 2\n", "does not stand alone", "[limits]"),
        ("limits = 3\n", "it must be a section", ""),
        ("[limits]\nworkers = true\n", "it must be a whole number", ""),
        ("[limits]\ncheck_seconds = inf\n", "check_seconds is inf", ""),
        ("[deciding]\nsame_ids = 'yes'\n", "it must be true or false", ""),
        ("[reading]\nexclude = '*.png'\n", "it must be a list", ""),
    ],
)
def test_a_typo_in_a_file_is_named_with_the_file(tmp_path: Path, text: str, words: str, hint: str) -> None:
    file = tmp_path / "leakscan.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        Settings.read(file)
    assert str(file) in str(caught.value)
    assert hint in caught.value.hint


def test_the_command_line_goes_over_the_file_and_the_file_over_the_defaults(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEAKSCAN_CACHE")
    fill(tmp_path / "A", range(3))
    fill(tmp_path / "B", range(2, 5))
    (tmp_path / "leakscan.toml").write_text('[deciding]\nfail_on = "none"\n[limits]\ncache = "kept"\n')
    assert leakscan("compare", "A", "B", *NO_ENCODER).code == 0
    assert (tmp_path / "kept" / "stores").is_dir()
    assert leakscan("compare", "A", "B", "--fail-on", "same_pixels", *NO_ENCODER).code == 1
    (tmp_path / "leakscan.toml").write_text("[deciding]\nfail_off = 1\n")
    wrong = leakscan("compare", "A", "B", *NO_ENCODER)
    assert wrong.code == 2
    assert "Did you mean fail_on?" in wrong.err


def test_the_command_line_turns_off_what_the_file_turns_on(tmp_path: Path, leakscan: Leakscan) -> None:
    fill(tmp_path / "A", range(2))
    (tmp_path / "leakscan.toml").write_text("[privacy]\nhide_paths = true\n")
    hidden = leakscan("compare", "A", "SECRET", *NO_ENCODER)
    assert hidden.code == 2
    assert "SECRET" not in hidden.out + hidden.err
    assert "SECRET" in leakscan("compare", "A", "SECRET", "--no-hide-paths", *NO_ENCODER).err
