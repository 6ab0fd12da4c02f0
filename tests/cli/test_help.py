"""``--help`` begins with what is used most, and groups the rest by the sections of the settings."""

from __future__ import annotations

import pytest

from leakscan.cli.options import SETTING_OPTIONS
from support.makers import Leakscan

SECTIONS = ("Reading images", "Searching", "Deciding", "Privacy", "Limits and places")


@pytest.fixture
def help_lines(leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ``compare --help`` prints on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    ran = leakscan("compare", "--help")
    assert ran.code == 0, ran.err
    return ran.out.splitlines()


def place(lines: list[str], word: str) -> int:
    """The first line with a word between spaces or commas."""
    return next(i for i, line in enumerate(lines) if word in line.replace(",", " ").split())


def test_options_stand_in_groups_in_the_order_of_the_settings(help_lines: list[str]) -> None:
    at = [next(i for i, line in enumerate(help_lines) if f" {name} " in line) for name in SECTIONS]
    assert at == sorted(at)
    ends = dict(zip(SECTIONS, [*at[1:], len(help_lines)], strict=True))
    starts = dict(zip(SECTIONS, at, strict=True))
    for flag, section in [
        ("--kind", "Reading images"),
        ("--max-pairs", "Searching"),
        ("--same-ids", "Deciding"),
        ("--hide-paths", "Privacy"),
        ("--workers", "Limits and places"),
    ]:
        assert starts[section] < place(help_lines, flag) < ends[section], flag


def test_the_most_used_options_come_first_and_fit_a_screen(help_lines: list[str]) -> None:
    first = next(i for i, line in enumerate(help_lines) if " Options " in line)
    second = next(i for i, line in enumerate(help_lines) if f" {SECTIONS[0]} " in line)
    assert second - first <= 24
    for flag in ("--output", "--subjects", "--exclude", "--fail-on", "--verdicts", "--help"):
        assert first < place(help_lines, flag) < second, flag


def test_no_option_is_lost(help_lines: list[str]) -> None:
    text = "\n".join(help_lines)
    for name, option in SETTING_OPTIONS.items():
        if name != "pictures_mb":
            assert option.flags[0].partition("/")[0] in text, name


def test_what_a_command_says_of_itself_fills_its_lines(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of a docstring are longer than a narrow terminal, so they are not taken as lines."""
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    for command in (("split",), ("exclude",), ("verdicts", "add")):
        ran = leakscan(*command, "--help")
        text = [line.strip() for line in ran.out.partition("Arguments")[0].splitlines()]
        inside = [i for i in range(1, len(text) - 1) if text[i - 1] and text[i] and text[i + 1]]
        assert all(len(text[i]) > 50 for i in inside), command
